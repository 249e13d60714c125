"""Backup and restore of a whole shop, with the recovery of what the databases do not hold."""
