"""The addresses of the pages."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.templatetags.static import static
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.generic import RedirectView

from .unsubscribe import Unsubscribe
from .views import FirstPage, Inline

app_name = "notifications_pages"


@method_decorator(login_not_required, name="dispatch")
class Icon(RedirectView):
    """Asked for its place when somebody comes: before `collectstatic` a storage with a manifest knows none."""

    def get_redirect_url(self, *args: Any, **kwargs: Any) -> str:
        return static("notifications/icon.svg")


urlpatterns = [
    path("", FirstPage.as_view(), name="first-page"),
    path("sent/<uuid:pk>", FirstPage.as_view(), name="first-page-of"),
    path("inline", Inline.as_view(), name="inline"),
    path("unsubscribe/<str:token>", Unsubscribe.as_view(), name="unsubscribe"),
    # Browsers ask for it on every page that names no icon, the admin's among them.
    path("favicon.ico", Icon.as_view(), name="favicon"),
]
