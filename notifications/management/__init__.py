"""Commands for operators: what the service does, from a shell."""
