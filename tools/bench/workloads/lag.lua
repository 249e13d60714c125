-- The orders of orders-spread, at half of the peak load: how long does a notification take?
dofile(os.getenv("BENCH_WORKLOADS") .. "/orders-spread.lua")
