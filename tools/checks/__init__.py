"""Checks of the project itself: lint, types, tests, licences, vulnerabilities, the lock and bills of materials."""
