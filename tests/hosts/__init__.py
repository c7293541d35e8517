"""Several hosts on one PostgreSQL: real clusters and web servers, each behind a network of its own that can be cut."""
