"""./dev bench: how fast the shop is, beside a naive one and the least that any implementation must do."""
