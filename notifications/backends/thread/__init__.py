"""The `thread` backend: a Django task runs in this process, after the response of its request.

In order with the request's other tasks; outside a request at once, in a transaction when that has committed.
A process keeps the last results, and only its own. What the pool cannot take goes to OVERFLOW_TO.
"""

from .backend import ThreadBackend

__all__ = ["ThreadBackend"]
