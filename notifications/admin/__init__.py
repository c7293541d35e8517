"""The operator's window: what became of each notification, and who may come in.

django-q2 brings the views of the queue itself (queued, successful, failed and scheduled tasks).
"""

from .notifications import NotificationAdmin
from .tokens import TokenAdmin

__all__ = ["NotificationAdmin", "TokenAdmin"]
