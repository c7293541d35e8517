"""Django's SQLite, with a shorter wait for the writer: see `base`. A folder, because Django asks for one."""
