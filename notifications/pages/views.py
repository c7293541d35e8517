"""The first page: send something, and watch what "respond first, work after" means."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.mixins import AccessMixin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache

from .. import services, tasks
from ..api.permissions import is_open, may, owner, visible
from ..background import BackgroundTasks
from ..channels import channels
from ..exceptions import RecipientLimitReached
from ..models import Notification
from .forms import DEMO, INLINE, SendForm, is_demonstrable, modes
from .timeline import bars


@method_decorator(
    [login_not_required, never_cache], name="dispatch"
)  # it knows itself whom it sends to log in
class Page(AccessMixin, View):
    """For users who are logged in, and while `is_open` for everybody. Others are sent to log in."""

    @classmethod
    def as_view(cls, **kwargs: Any) -> Callable[..., HttpResponseBase]:
        """Not in the transaction of ATOMIC_REQUESTS: what `Inline` claims is committed before it is sent."""
        return transaction.non_atomic_requests(super().as_view(**kwargs))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not (request.user.is_authenticated or is_open(request)):
            return self.handle_no_permission()
        if request.method == "POST" and not may(request, "add_notification"):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)


class FirstPage(Page):
    """The page and, for browsers that run no script, where its form goes. Scripts ask the API."""

    def get(self, request: HttpRequest, pk: UUID | None = None) -> HttpResponse:
        notification = None
        if pk is not None:
            if not may(request, "view_notification"):
                raise PermissionDenied
            notification = get_object_or_404(visible(request), pk=pk)
        return self._page(request, SendForm(), notification)

    def post(self, request: HttpRequest, background_tasks: BackgroundTasks) -> HttpResponse:
        form = SendForm(request.POST)
        notification = _accepted(request, form, background_tasks)
        if notification is None:
            return self._page(request, form, status=400)
        if not may(request, "view_notification"):
            return redirect("notifications_pages:first-page")
        return redirect("notifications_pages:first-page-of", pk=notification.pk)

    def _page(
        self,
        request: HttpRequest,
        form: SendForm,
        notification: Notification | None = None,
        *,
        status: int = 200,
    ) -> HttpResponse:
        context = {
            "form": form,
            "modes": modes(),
            "slow_seconds": channels[DEMO].options.get("seconds", 0) if is_demonstrable() else None,
            "may_send": may(request, "add_notification"),
            "may_view": may(request, "view_notification"),
            "notification": notification,
            "bars": bars(notification, timezone.now()) if notification else [],
        }
        return render(request, "notifications/first_page.html", context, status=status)


class Inline(Page):
    """The contrast, for the page's script: the request does the work itself, then responds.

    Only there while slow work is: it holds a thread of the server for as long as the work takes.
    """

    def post(self, request: HttpRequest, background_tasks: BackgroundTasks) -> HttpResponse:
        if not is_demonstrable():
            raise Http404
        form = SendForm(request.POST)
        notification = _accepted(request, form, background_tasks)
        if notification is None:
            errors = [
                {"pointer": f"/{field}", "detail": detail}
                for field, details in form.errors.items()
                for detail in details
            ]
            return JsonResponse({"errors": errors}, status=400)
        return HttpResponse(
            headers={"Location": reverse("notifications:notification", args=[notification.pk])}
        )


def _accepted(request: HttpRequest, form: SendForm, background_tasks: BackgroundTasks) -> Notification | None:
    """What the form asks for, accepted, and if it asks for that, delivered. None: the form says what is wrong."""
    if not form.is_valid():
        return None
    asked = form.cleaned_data
    inline = asked["via"] == INLINE
    if inline:
        background_tasks = BackgroundTasks()  # never handed over: what is in it is done here
    try:
        notification = services.accept(
            recipient=asked["recipient"],
            message=asked["message"],
            channel=DEMO if asked["slow"] and is_demonstrable() else None,
            via="thread" if inline else asked["via"],
            owner=owner(request),
            enqueue=background_tasks.add_task,
        )
    except ValidationError as error:
        form.add_error(None, error)
        return None
    except RecipientLimitReached as error:
        form.add_error("recipient", str(error))
        return None
    if inline:
        tasks.deliver.call([str(notification.pk)])
    return notification
