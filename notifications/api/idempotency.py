"""`Idempotency-Key`: the same request twice has one effect, and gets one answer.

Note [The key row is the decision]: it is inserted in the transaction that accepts, at its end, with the answer in
it. Either both are there or neither is, whenever the process dies. Two requests with one key both do the work;
the unique constraint lets one of them commit, the other leaves nothing and gives the answer of the first.
"""

import re
from collections.abc import Callable
from hashlib import sha256

from django.db import IntegrityError, connections, router, transaction
from django.http import HttpResponse, HttpResponseBase
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import IdempotencyKey
from .answers import ENGINE_HEADERS
from .errors import InFlight, InvalidHeader, KeyReused
from .permissions import owner

HEADER, META = "Idempotency-Key", "HTTP_IDEMPOTENCY_KEY"
PRINTABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?", re.ASCII)
# Servers join the lines of a header by commas. Behind a string as the draft has it (a structured field's) comes another
# key then; without quotes `a,b` may as well be one.
SEVERAL = re.compile(r'"(?:[^"\\]|\\.)*"\s*,')


def answered_once(request: Request, body: bytes, answer: Callable[[], HttpResponse]) -> HttpResponseBase:
    """What `answer()` gives; or what it gave to the first request with this key, without calling it again.

    `answer` runs in the transaction of its key. What it raises is not kept. Without the header it is just called.

    Raises InvalidHeader, KeyReused for a key that came with another body, InFlight while the first is at work.
    """
    key = request.META.get(META)  # `headers` is made of all there are, for each request
    if key is None:
        return answer()
    if not PRINTABLE.fullmatch(key):
        raise InvalidHeader(HEADER, "An Idempotency-Key has 1 to 255 printable ASCII characters.")
    if SEVERAL.match(key):
        raise InvalidHeader(HEADER, "There are several Idempotency-Keys. Send one.")
    caller = owner(request)
    digest = _sha256(str(caller and caller.pk), str(request.method), request.path, key)
    fingerprint = _sha256(request.META.get("QUERY_STRING", ""), str(request.content_type), body=body)
    try:
        return _replayed(digest, fingerprint) or _first(digest, fingerprint, answer)
    except IntegrityError:  # Note [The key row is the decision]
        if (stored := _replayed(digest, fingerprint)) is None:
            raise
        return stored


def raw(request: Request) -> bytes:
    """The body as it came, while it has not been parsed. Only a key needs it."""
    if META not in request.META:
        return b""
    body: bytes = request._request.body  # noqa: SLF001 (DRF's documented name)
    return body


def _replayed(digest: str, fingerprint: str) -> HttpResponse | None:
    stored = IdempotencyKey.objects.current().filter(pk=digest).first()
    if stored is None:
        return None
    if stored.fingerprint != fingerprint:
        raise KeyReused
    response = HttpResponse(stored.body, status=stored.status_code, content_type="application/json")
    response["Idempotent-Replayed"] = "true"
    if stored.location:
        response["Location"] = stored.location
    for name, value in stored.headers.items():
        response[name] = value
    return response


def _first(digest: str, fingerprint: str, answer: Callable[[], HttpResponse]) -> HttpResponse:
    using = router.db_for_write(IdempotencyKey)
    with transaction.atomic(using=using):
        if not _alone(digest, using):
            raise InFlight
        response = answer()
        IdempotencyKey.objects.expired().filter(pk=digest).delete()
        IdempotencyKey.objects.create(
            digest=digest,
            fingerprint=fingerprint,
            status_code=response.status_code,
            location=response.get("Location", ""),
            headers={name: response[name] for name in ENGINE_HEADERS if name in response},
            body=_content(response).decode(),
        )
    return response


def _content(response: HttpResponse) -> bytes:
    return JSONRenderer().render(response.data) if isinstance(response, Response) else response.content


def _alone(digest: str, using: str) -> bool:
    """Whether no other transaction works on this key. On SQLite there is no other transaction."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        number = int.from_bytes(bytes.fromhex(digest[:16]), signed=True)
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _sha256(*parts: str, body: bytes = b"") -> str:
    # A length before each part: no two lists of parts read the same.
    hashed = sha256("".join(f"{len(part)}:{part}" for part in parts).encode(errors="surrogateescape"))
    hashed.update(body)
    return hashed.hexdigest()
