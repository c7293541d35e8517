"""A small Django project for the tests that start real servers. What happens is written to the file DIARY."""
