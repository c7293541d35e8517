"""The queue: tasks as rows of django-q2's table, run by `manage.py qcluster`.

`QueueBackend` is where Django's task framework puts them, `OrmBroker` is where django-q2 finds them. Nothing
in here needs the app registry at import, because `@task` makes its backend while models are still loading.

    enqueue ─▶ package.py ─▶ sql.py ─▶ [django_q_ormq] ─▶ pusher.py ─▶ worker.py ─▶ execution.py ─▶ sql.py
               signed call    INSERT                        claims        runs         records, deletes
"""

from .backend import QueueBackend
from .broker import OrmBroker

__all__ = ["OrmBroker", "QueueBackend"]
