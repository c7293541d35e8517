"""The door's addresses."""

from django.urls import path, re_path

from .bulk import NotificationsInBulk
from .probes import Metrics, livez, readyz
from .views import (
    CancelNotification,
    NotificationDetail,
    Notifications,
    ResendNotification,
    SendNotification,
)

urlpatterns = [
    # `(?s:.+?)` takes whatever stands there, slashes and line ends too: a bad address gets an answer that says
    # why it is bad, not a 404. The slash at the end is optional.
    re_path(
        r"^send-notification/(?P<email>(?s:.+?))/?\Z", SendNotification.as_view(), name="send-notification"
    ),
    path("api/v1/notifications", Notifications.as_view(), name="notifications"),
    path("api/v1/notifications/bulk", NotificationsInBulk.as_view(), name="notifications-bulk"),
    path("api/v1/notifications/<uuid:pk>", NotificationDetail.as_view(), name="notification"),
    path("api/v1/notifications/<uuid:pk>/cancel", CancelNotification.as_view(), name="notification-cancel"),
    path("api/v1/notifications/<uuid:pk>/resend", ResendNotification.as_view(), name="notification-resend"),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
    path("metrics", Metrics.as_view(), name="metrics"),
]
