"""The operator's window: how things are, what became of each notification, what can be done, and who may come in.

django-q2 brings the views of the queue itself (queued, successful, failed and scheduled tasks).
"""

from .bulk import BulkActionAdmin
from .notifications import NotificationAdmin
from .overview import OverviewAdmin
from .suppressions import SuppressionAdmin
from .tokens import TokenAdmin

__all__ = ["BulkActionAdmin", "NotificationAdmin", "OverviewAdmin", "SuppressionAdmin", "TokenAdmin"]
