"""Users who are known by an e-mail address, under a key that is called otherwise and is no number."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


class People(BaseUserManager["Person"]):
    def create_user(self, mail: str, password: str | None = None, **fields: Any) -> "Person":
        person = self.model(mail=mail, **fields)
        person.set_password(password)
        person.save(using=self._db)
        return person


class Person(AbstractBaseUser, PermissionsMixin):
    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    mail = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)

    objects = People()

    USERNAME_FIELD = "mail"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
