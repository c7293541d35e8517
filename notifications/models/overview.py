"""A name for the operator's overview, under which the admin lists it and gives it an address."""

from .notification import Notification


class Overview(Notification):
    """No table and no permission of its own: who may view notifications may view it."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "overview"
        verbose_name_plural = "overview"
