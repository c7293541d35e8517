"""Floor: the same Django, DRF and gunicorn, the same middleware, and no job at all."""

from .base import System


class FloorDjango(System):
    name = "floor"
    label = "*floor: Django + DRF, no job*"
    stated = "the view answers and does nothing"
    site = "nothing"
    workloads = frozenset({"post"})
    delivers = False
    is_floor = True
    quick = True
