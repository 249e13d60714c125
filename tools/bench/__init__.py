"""./dev bench: measures the shop, and compares it with a naive one, with an empty route or with another checkout."""
