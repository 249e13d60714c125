"""Technical code that all four services share: errors, HTTP, authentication, logs, settings, MongoDB.

It knows no business word and imports no service. What only one service needs belongs into that service.
"""
