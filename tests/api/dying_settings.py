"""The service's own settings, with a middleware that kills the process when its answer is ready."""

from project.settings import *  # noqa: F403
from project.settings import MIDDLEWARE

MIDDLEWARE.insert(0, "tests.api.dying_middleware.die_before_the_answer")
