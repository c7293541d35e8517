"""From a notification to what the queue itself has of it: its entry while it waits, its result once it has run."""

from collections.abc import Iterator

from django.db import router
from django.http import HttpRequest
from django.urls import reverse
from django_q.models import Task

from ..backends.queue import results
from ..backends.queue.broker import queue_table
from ..models import Notification

Link = tuple[str, str]  # what it leads to, and its address


def links(request: HttpRequest, notification: Notification) -> Iterator[Link]:
    """To those that exist and that this user may see. What other backends have is not to be seen here."""
    user = request.user
    pk = results.entry_pk(notification.task_id)
    if pk and user.has_perm("django_q.view_ormq") and queue_table().existing([pk]):
        yield "Its entry in the queue", reverse("admin:django_q_ormq_change", args=[pk])
    task_id = results.task_id(notification.task_id)
    if task_id and (user.has_perm("django_q.view_success") or user.has_perm("django_q.view_failure")):
        rows = Task.objects.using(router.db_for_read(Task)).filter(pk=task_id)
        for success in rows.values_list("success", flat=True):
            kind = "success" if success else "failure"
            if user.has_perm(f"django_q.view_{kind}"):
                yield "Its task's result", reverse(f"admin:django_q_{kind}_change", args=[task_id])
