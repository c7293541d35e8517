"""The door's addresses."""

from django.urls import path, re_path

from .views import NotificationDetail, SendNotification

urlpatterns = [
    # `(?s:.+?)` takes whatever stands there, slashes and line ends too: a bad address gets an answer that says
    # why it is bad, not a 404. The slash at the end is optional.
    re_path(
        r"^send-notification/(?P<email>(?s:.+?))/?\Z", SendNotification.as_view(), name="send-notification"
    ),
    path("api/v1/notifications/<uuid:pk>", NotificationDetail.as_view(), name="notification"),
]
