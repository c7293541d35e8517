"""The addresses of the pages."""

from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

urlpatterns = [
    # Browsers ask for it on every page that names no icon, the admin's among them.
    path("favicon.ico", RedirectView.as_view(url=static("notifications/icon.svg")), name="favicon"),
]
