"""The addresses of the pages."""

from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from .unsubscribe import Unsubscribe
from .views import FirstPage, Inline

urlpatterns = [
    path("", FirstPage.as_view(), name="first-page"),
    path("sent/<uuid:pk>", FirstPage.as_view(), name="first-page-of"),
    path("inline", Inline.as_view(), name="inline"),
    path("unsubscribe/<str:token>", Unsubscribe.as_view(), name="unsubscribe"),
    # Browsers ask for it on every page that names no icon, the admin's among them.
    path("favicon.ico", RedirectView.as_view(url=static("notifications/icon.svg")), name="favicon"),
]
