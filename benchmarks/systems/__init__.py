"""The systems that are measured, in the order of the table."""

from .base import System
from .celery import CELERIES
from .django_q2 import DJANGO_Q2S
from .django_tasks_db import DjangoTasksDB
from .fastapi import FastAPI
from .floor import FloorDjango
from .huey import Huey
from .procrastinate import Procrastinate
from .product import PRODUCTS
from .raw_claim import RawClaim
from .threadmill import Threadmill

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        *PRODUCTS,
        FloorDjango(),
        RawClaim("sqlite"),
        RawClaim("postgresql"),
        FastAPI(1),
        FastAPI(2),
        *CELERIES,
        Threadmill(),
        Huey(),
        *DJANGO_Q2S,
        DjangoTasksDB(),
        Procrastinate(),
    )
}
