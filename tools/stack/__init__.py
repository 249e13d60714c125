"""A stack: MongoDB, RabbitMQ, the services and their supervisor, as ./dev up, tests, chaos and bench run them."""
