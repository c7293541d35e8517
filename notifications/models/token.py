"""Tokens: what a service shows at the door. Only a hash is kept, so the table opens no door."""

import secrets
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any, Self

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, Permission
from django.db import connections, models
from django.db.models import OuterRef, Q, StringAgg, Subquery, Value
from django.db.models.functions import Now
from django.utils.functional import cached_property

_OURS = Q(content_type__app_label="notifications")

_ANY = "any digest"  # stands where the digest will stand

PREFIX = "rfwa_"  # so that scanners of repositories and logs can find one that leaked


def digest(secret: str) -> str:
    """SHA-256 without salt or stretching: a secret of 256 random bits cannot be guessed, so neither adds anything."""
    return sha256(secret.encode()).hexdigest()


class TokenQuerySet(models.QuerySet["Token"]):
    def valid(self) -> Self:
        """Neither revoked nor expired, of a user who is active."""
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=Now()),
            revoked_at__isnull=True,
            user__is_active=True,
        )

    def with_rights(self) -> Self:
        """Add `codenames`: this app's permissions of the user and of its groups, comma-separated."""
        return self.annotate(
            own_codenames=_codenames(Permission.objects.filter(user=OuterRef("user"))),
            group_codenames=_codenames(Permission.objects.filter(group__user=OuterRef("user"))),
        )

    def find(self, secret: str) -> "Token | None":
        """The valid token with this secret, its user and its rights: one query, by a unique index.

        Of the user no more is loaded than every request asks for; the rest is fetched when it is looked at.
        """
        sql, params = _statement(self.db)
        wanted = digest(secret)
        with connections[self.db].cursor() as cursor:
            cursor.execute(sql, [wanted if param == _ANY else param for param in params])
            row = cursor.fetchone()
        if row is None:
            return None
        id, hint, own, group, user_id, username, is_superuser = row
        user_model = get_user_model()
        key = user_model._meta.pk  # noqa: SLF001
        user_id = key.to_python(user_id)  # SQLite has texts for UUIDs
        values = {
            user_model.USERNAME_FIELD: username,
            key.attname: user_id,
            "is_active": True,
            "is_superuser": bool(is_superuser),  # SQLite has numbers for truth values
        }
        token = Token.from_db(self.db, ["id", "hint", "user_id"], [id, hint, user_id])
        names = [field.attname for field in user_model._meta.concrete_fields if field.attname in values]  # noqa: SLF001
        token.user = user_model.from_db(self.db, names, [values[name] for name in names])
        token.own_codenames, token.group_codenames = own, group
        return token

    def issue(self, user: AbstractBaseUser, *, expires_at: datetime | None = None) -> tuple["Token", str]:
        """A new token and its secret, which exists nowhere else: show it once."""
        secret = PREFIX + secrets.token_urlsafe(32)
        token = self.create(
            user=user,
            digest=digest(secret),
            hint=secret[: len(PREFIX) + 4],
            expires_at=expires_at,
        )
        return token, secret

    def revoke(self) -> int:
        """Close the door for these, from the next request on. Returns how many were open."""
        return self.filter(revoked_at__isnull=True).update(revoked_at=Now())


class Token(models.Model):
    """A user's key to the API. Its rights are the user's permissions, which the admin manages."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=16, editable=False, help_text="How the secret begins.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TokenQuerySet.as_manager()

    # Filled by `with_rights`.
    own_codenames: str | None
    group_codenames: str | None

    def __str__(self) -> str:
        return f"{self.hint}…"

    @cached_property
    def rights(self) -> frozenset[str]:
        """Codenames of this app's permissions that the user has. Of a token that came `with_rights`."""
        return frozenset(f"{self.own_codenames or ''},{self.group_codenames or ''}".split(","))


@cache
def _statement(using: str) -> tuple[str, tuple[Any, ...]]:
    """The query of `find`. Django takes three times as long to build it as the rest of a POST needs; so, once."""
    columns = (
        "pk",
        "hint",
        "own_codenames",
        "group_codenames",
        "user__pk",
        _username(),
        "user__is_superuser",
    )
    found = Token.objects.using(using).valid().with_rights().filter(digest=_ANY).values_list(*columns)
    sql, params = found.query.get_compiler(using).as_sql()
    return sql, tuple(params)


def _username() -> str:
    return f"user__{get_user_model().USERNAME_FIELD}"


def _codenames(permissions: models.QuerySet[Permission]) -> Subquery:
    found = permissions.filter(_OURS).order_by()
    return Subquery(
        found.values("content_type__app_label")
        .annotate(codenames=StringAgg("codename", delimiter=Value(",")))
        .values("codenames")
    )
