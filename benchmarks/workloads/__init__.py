"""What is measured, in the order in which it runs."""

from .backlog import Backlog
from .base import Workload
from .bulk import Bulk
from .busy_post import BusyPost
from .clusters import Clusters
from .drain import Drain
from .memory import Memory
from .pickup import Pickup
from .post import Post
from .slow import Slow

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Drain(),
        Pickup(),
        Memory(),
        Post(),  # last of those that share a stage: it leaves work behind
        BusyPost(),
        Slow(),
        Clusters(),
        Bulk(),
        Backlog(),
    )
}
