"""How schemathesis asks, and the settings of the service that it asks."""
