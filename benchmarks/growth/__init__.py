"""How costs grow with what is kept and with what waits: `make bench-growth`."""
