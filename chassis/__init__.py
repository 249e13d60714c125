"""The microservice chassis (a pattern of microservices.io): technical code that all services share.

It has no domain code and imports no service. Code that only one service needs belongs to that service.
"""
