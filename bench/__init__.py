"""What `./dev bench` measures beside the shop: the naive baseline, the floor, and wrk's workloads."""
