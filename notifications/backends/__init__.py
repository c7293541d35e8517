"""Where a task runs: `thread`, `queue` and `celery`, each a backend of `django.tasks`, and what they share."""
