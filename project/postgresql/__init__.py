"""Django's PostgreSQL, with a cheaper look whether a connection lives: see `base`. A folder: Django asks for one."""
