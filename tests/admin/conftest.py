"""Operators of the admin, by their role."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client


@pytest.fixture
def logged_in(django_user_model: Any) -> Callable[[str], Client]:
    """A client of a staff member in the group of this name."""

    def log_in(role: str) -> Client:
        call_command("roles", stdout=StringIO())
        user = django_user_model.objects.create_user(role, password="pw", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        return client

    return log_in
