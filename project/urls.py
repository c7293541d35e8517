"""Which address leads to which room."""

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.urls import include, path

admin.site.site_header = admin.site.site_title = "Notifications"
admin.site.index_title = "Operation"

urlpatterns = [
    path("", include("notifications.api.urls")),  # first: Django notes whatever it has tried before
    path("", include("notifications.pages.urls")),
    path("admin/", admin.site.urls),
]
# Without a secret they would be open to anybody.
if settings.ANYMAIL_WEBHOOK_SECRET and apps.is_installed("anymail"):
    urlpatterns.append(path("anymail/", include("anymail.urls")))

handler400 = "notifications.api.errors.bad_request"
handler403 = "notifications.api.errors.permission_denied"
handler404 = "notifications.api.errors.not_found"
handler500 = "notifications.api.errors.server_error"
