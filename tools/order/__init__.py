"""Everything about one order, from all services, RabbitMQ and the logs."""
