"""The HTTP API of the service: Replicate's routes, and routes for users without a client."""
