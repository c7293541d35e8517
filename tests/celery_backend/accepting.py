"""A process that accepts what it is told, one JSON object a line: to start one for each notification takes seconds.

`options` are OPTIONS of the backend for this one, `due_in` is in seconds, all others are arguments of
`services.accept`. It answers with the id when the entry is published, or left to others.
"""

import json
import sys
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from notifications import services
from notifications.background.testing import stop_pool


def accept(*, options: dict[str, Any], due_in: float | None, **fields: Any) -> str:
    celery = settings.TASKS["celery"]
    tasks = {**settings.TASKS, "celery": {**celery, "OPTIONS": {**celery["OPTIONS"], **options}}}
    due_at = None if due_in is None else timezone.now() + timedelta(seconds=due_in)
    with override_settings(TASKS=tasks):
        row = services.accept(recipient="you@example.com", via="celery", due_at=due_at, **fields)
        stop_pool()  # which has published it by then
    return str(row.pk)


def accept_all() -> None:
    for line in sys.stdin:
        sys.stdout.write(accept(**json.loads(line)) + "\n")
        sys.stdout.flush()
