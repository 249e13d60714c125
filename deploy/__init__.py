"""What it takes to run the shop besides the services: provisioning, gunicorn, the gateway."""
