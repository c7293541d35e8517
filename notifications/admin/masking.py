"""Whom the admin shows recipients unmasked. The API asks `api.permissions` the same, for it has tokens, too."""

from django.http import HttpRequest


def sees_recipients(request: HttpRequest) -> bool:
    return request.user.has_perm("notifications.view_recipient")
