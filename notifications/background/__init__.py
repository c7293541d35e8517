"""Respond first, work after: tasks that a request adds and that run once its response has been sent.

A view asks for `BackgroundTasks` by annotation alone; nothing here knows models or REST framework. The way of a
task: `tasks` (what to run) → `scope` (the request it belongs to) → `middleware` (hands over after the last
byte) → `pool` (the process's own threads) → `unit` (runs one, safely).
"""

from .dependencies import Depends
from .injection import inject
from .tasks import BackgroundTask, BackgroundTasks

__all__ = ["BackgroundTask", "BackgroundTasks", "Depends", "inject"]
