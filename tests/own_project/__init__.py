"""A project with users of its own, as an app: what it does with notifications is run in processes of its own."""
