"""This repository's settings, but for the users."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.own_project"]
AUTH_USER_MODEL = "own_project.Person"
