"""Authentication and authorization: access tokens, the keys that verify them, and a service's own token."""
