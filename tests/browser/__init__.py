"""The pages as a visitor meets them: a real browser, and behind it real gunicorn and qcluster."""
