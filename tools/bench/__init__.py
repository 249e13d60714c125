"""./dev bench: how fast the shop is, beside a naive baseline and the least that any implementation must do."""
