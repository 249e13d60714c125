"""The audit: compare the records that the services export from their databases, invariant by invariant."""
