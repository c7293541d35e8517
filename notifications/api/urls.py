"""The door's addresses."""

from django.apps import apps
from django.urls import path, re_path, register_converter
from django.urls.converters import UUIDConverter

from .actions import CancelNotification, ConfirmNotification, ResendNotification, SendNotificationAgain
from .bulk import NotificationsInBulk
from .errors import nowhere
from .probes import Metrics, livez, readyz
from .schema import docs, schema
from .suppressions import SuppressionDetail, Suppressions
from .views import NotificationDetail, Notifications, SendNotification


class AnyCaseUUID(UUIDConverter):
    """RFC 9562, 4: lower case where it is written, either where it is read."""

    regex = f"(?i:{UUIDConverter.regex})"


register_converter(AnyCaseUUID, "any_case_uuid")

app_name = "notifications"  # a project may well have names such as `notifications` and `docs` of its own

urlpatterns = [
    # `(?s:.+?)` takes whatever stands there, slashes and line ends too: a bad address gets an answer that says
    # why it is bad, not a 404. The slash at the end is optional.
    re_path(
        r"^send-notification/(?P<email>(?s:.+?))/?\Z", SendNotification.as_view(), name="send-notification"
    ),
    path("api/v1/notifications", Notifications.as_view(), name="notifications"),
    path("api/v1/notifications/bulk", NotificationsInBulk.as_view(), name="notifications-bulk"),
    path("api/v1/notifications/<any_case_uuid:pk>", NotificationDetail.as_view(), name="notification"),
    path(
        "api/v1/notifications/<any_case_uuid:pk>/cancel",
        CancelNotification.as_view(),
        name="notification-cancel",
    ),
    path(
        "api/v1/notifications/<any_case_uuid:pk>/resend",
        ResendNotification.as_view(),
        name="notification-resend",
    ),
    path(
        "api/v1/notifications/<any_case_uuid:pk>/confirm",
        ConfirmNotification.as_view(),
        name="notification-confirm",
    ),
    path(
        "api/v1/notifications/<any_case_uuid:pk>/send-again",
        SendNotificationAgain.as_view(),
        name="notification-send-again",
    ),
    path("api/v1/suppressions", Suppressions.as_view(), name="suppressions"),
    path("api/v1/suppressions/<any_case_uuid:pk>", SuppressionDetail.as_view(), name="suppression"),
    # Without it there is nobody to make them.
    *(
        [path("api/v1/schema", schema, name="schema"), path("api/v1/docs", docs, name="docs")]
        if apps.is_installed("drf_spectacular")
        else []
    ),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
    path("metrics", Metrics.as_view(), name="metrics"),
    # Whatever else looks like an address of the API. Without it, and with DEBUG on, Django would answer by a page.
    re_path(r"^[/]*(?:api|send-notification)(?:/|\Z)", nowhere, name="nowhere"),
]
