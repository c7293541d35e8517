"""The whole service as a user meets it: real gunicorn, real qcluster, real HTTP."""
