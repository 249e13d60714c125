"""The HTTP side of a service: app, problem documents, JSON bodies, conditional requests, health, OpenAPI pages."""
