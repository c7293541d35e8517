"""Actions of the operator: first the question with the count, then the work. One is done at once, many in the
background.

What was confirmed is what is done: the selection travels through the question signed.

Note [A question is answered once]: a button may be pressed twice, a page gone back to, and two people may be asked the
same. To cancel or settle twice is refused by the status. To resend is not, so a question is about what was not resent
since it was asked; who means to resend once more is asked once more.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core import signing
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from .. import bulk
from ..exceptions import InvalidStatus, RecipientLimitReached
from ..figures import BOUND, Counted
from ..models import Attempt, Kind, Notification, Status, database
from ..selection import Selection
from . import listing

SALT = "notifications.admin.acting"
MAX_AGE = 3600  # seconds that a question may be answered
SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Act:
    """How an action is spoken of, and the permission it needs."""

    kind: str
    label: str
    done: str
    permission: str
    hint: str = ""


ACTS = {
    act.kind: act
    for act in (
        Act(
            Kind.RESEND,
            "Resend",
            "Accepted once more",
            "resend_notification",
            "Each is accepted once more, as a new notification. The old one stays as it is.",
        ),
        Act(
            Kind.CANCEL,
            "Cancel",
            "Cancelled",
            "cancel_notification",
            "What a worker has begun by then is sent all the same.",
        ),
        Act(
            Kind.CONFIRM,
            "Confirm as sent",
            "Settled as sent",
            "resend_notification",
            "You have asked the other side, and it arrived.",
        ),
        Act(
            Kind.SEND_AGAIN,
            "Send again",
            "Queued again",
            "resend_notification",
            "Each is tried once more under its own id. What did arrive arrives twice.",
        ),
    )
}


def allowed(request: HttpRequest, notification: Notification) -> list[Act]:
    """The actions that this user may do with this notification as it stands."""
    return [
        act
        for act in ACTS.values()
        if notification.status in bulk.SOURCES[act.kind] and may(request, act.kind)
    ]


def may(request: HttpRequest, kind: str) -> bool:
    user = request.user
    return user.has_perm("notifications.view_notification") and user.has_perm(
        f"notifications.{ACTS[kind].permission}"
    )


def chosen_in_list(request: HttpRequest, kind: str) -> Selection:
    """The rows that were ticked, or all that the list's filters match and the action is for."""
    if request.POST.get("select_across") != "1":
        return Selection(ids=tuple(str(_uuid(id)) for id in request.POST.getlist(ACTION_CHECKBOX_NAME)))
    chosen = listing.selection(request)
    if text := request.GET.get("q", "").strip():
        found = listing.searched(text)
        chosen = chosen.but(ids=found.ids, recipient=found.recipient)
    if not chosen.status:
        # Nobody who has ticked "all" means to send once more what has arrived.
        chosen = chosen.but(status=Status.FAILED.value if kind == Kind.RESEND else only_source(kind))
    return chosen.but(not_resent=kind == Kind.RESEND)


def only_source(kind: str) -> str:
    [status] = bulk.SOURCES[kind]
    return status.value


def question(request: HttpRequest, kind: str, selection: Selection, admin_site: Any) -> HttpResponse:
    """The page that asks: how many, which, and what will be done."""
    if kind not in ACTS:
        raise BadRequest("No such action.")
    if not may(request, kind):
        raise PermissionDenied
    act = ACTS[kind]
    if kind == Kind.RESEND:  # Note [A question is answered once]
        selection = selection.but(not_resent_since=timezone.now().isoformat())
    rows = selection.rows().filter(status__in=bulk.SOURCES[kind])
    count = Counted(rows.order_by().values("pk")[: BOUND + 1].count())
    noun = "notification" if count.number == 1 else "notifications"
    return TemplateResponse(
        request,
        "admin/notifications/question.html",
        {
            **admin_site.each_context(request),
            "title": f"{act.label} {count} {noun}?",
            "act": act,
            "count": count,
            "noun": noun,
            "selection": selection,
            "sample": list(rows.order_by("-pk")[:SAMPLE]),
            "signed": signing.dumps({"kind": kind, **selection.written()}, salt=SALT, compress=True),
            "opts": Notification._meta,  # noqa: SLF001 (Django's documented name)
        },
    )


def act_view(request: HttpRequest, admin_site: admin.AdminSite) -> HttpResponse:
    """POST only. With `signed` it does what was confirmed, else it asks."""
    if request.method != "POST":
        raise BadRequest("An action is a POST.")
    if "signed" not in request.POST:
        selection = (
            Selection(ids=(str(_uuid(request.POST["id"])),)) if "id" in request.POST else _reason(request)
        )
        return question(request, request.POST.get("kind", ""), selection, admin_site)
    try:
        confirmed = signing.loads(request.POST["signed"], salt=SALT, max_age=MAX_AGE)
    except signing.BadSignature as error:
        raise BadRequest("The question is too old, or was not asked here. Ask again.") from error
    kind = confirmed.pop("kind")
    if not may(request, kind):
        raise PermissionDenied
    selection = Selection.read(confirmed)
    if len(selection.ids) == 1:
        return _do_one(request, ACTS[kind], selection)
    return _do_many(request, ACTS[kind], selection)


def _do_one(request: HttpRequest, act: Act, selection: Selection) -> HttpResponse:
    notification = get_object_or_404(Notification.objects.select_related("owner"), pk=selection.ids[0])
    try:
        done = _if_still_meant(act, notification, selection)
    except (InvalidStatus, RecipientLimitReached) as error:
        messages.error(request, f"Not done. {error}")
    except ValidationError as error:
        # The channel or its rules have changed since; the text may say what the recipient is.
        fields = ", ".join(error.message_dict) if hasattr(error, "error_dict") else "it"
        messages.error(request, f"Not done: {fields} would no longer be accepted.")
    else:
        log(request, notification, CHANGE, f"{act.done}.")
        messages.success(request, f"{act.done}.")
        if isinstance(done, Notification):
            notification = done
    return HttpResponseRedirect(reverse("admin:notifications_notification_change", args=[notification.pk]))


def _if_still_meant(act: Act, notification: Notification, selection: Selection) -> object:
    """Raises InvalidStatus where it is not. Note [A question is answered once]"""
    with transaction.atomic(using=database()):
        # Another answer to the same question waits here, and sees what came of this one.
        Notification.objects.using(database()).select_for_update().get(pk=notification.pk)
        if not selection.rows().using(database()).exists():
            raise InvalidStatus("It was resent meanwhile, or has changed.")
        return bulk.act_on_one(act.kind, notification)


def _do_many(request: HttpRequest, act: Act, selection: Selection) -> HttpResponse:
    action = bulk.start(act.kind, selection, request.user)
    log(request, action, ADDITION, f"{act.label}: {selection}.")
    return HttpResponseRedirect(reverse("admin:notifications_bulkaction_change", args=[action.pk]))


def log(request: HttpRequest, thing: Any, flag: int, message: str) -> None:
    """Django's own log of the admin: who did what, and when. Never an address."""
    LogEntry.objects.log_actions(request.user.pk or 0, [thing], flag, message, single_object=True)


def _reason(request: HttpRequest) -> Selection:
    """All that failed for the reason of one attempt, and that nobody has resent yet."""
    try:
        attempt = int(request.POST.get("like", ""))
    except ValueError as error:
        raise BadRequest("Which notifications?") from error
    one = get_object_or_404(Attempt.objects.select_related("notification"), pk=attempt)
    return Selection(
        status=Status.FAILED.value,
        channel=one.notification.channel,
        code=one.code,
        error="" if one.code else one.error,
        not_resent=True,
    )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise BadRequest("This is no id.") from error
