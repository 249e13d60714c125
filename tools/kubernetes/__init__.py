"""Check deploy/kubernetes on a real API server, and write the files there that are made from others."""
