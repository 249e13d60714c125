"""Backups of the databases: mongodump's layout, gzipped, and a manifest with the hash of every file."""
