"""Where the button "unsubscribe" of an e-mail leads. Looking changes nothing, only the POST does (RFC 8058)."""

from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from .. import suppression
from ..models import SuppressionReason
from ..unsubscribe import InvalidToken, Scope, read


# No login and no CSRF token: mail programs post here, which have seen no page. The signed token says what may be done.
@method_decorator([login_not_required, csrf_exempt, never_cache], name="dispatch")
class Unsubscribe(View):
    """GET shows a form, POST stops the category. Both work again and again. 404 for a token that is not ours."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return self._page(request, _scope(token), done=False)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        scope = _scope(token)
        suppression.add(
            scope.address,
            category=scope.category,
            reason=SuppressionReason.UNSUBSCRIBED,
            notification=UUID(scope.notification),
        )
        return self._page(request, scope, done=True)

    def _page(self, request: HttpRequest, scope: Scope, *, done: bool) -> HttpResponse:
        context = {"category": scope.category, "done": done}
        return render(request, "notifications/unsubscribe.html", context)


def _scope(token: str) -> Scope:
    try:
        return read(token)
    except InvalidToken as error:
        raise Http404(str(error)) from error
