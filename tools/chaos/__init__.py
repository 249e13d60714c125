"""./dev chaos: customers order while processes are killed and frozen at random; then every promise is checked."""
