"""The schema and its page, and what drf-spectacular cannot know by itself. What it says of calls: `descriptions`."""

from collections.abc import Callable
from threading import Lock
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import DJANGO_PATH_CONVERTER_MAPPING, OpenApiTypes
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from ..channels import channels
from ..conf import via_choices
from . import descriptions
from .door import Closed

Endpoint = tuple[str, str, str, Callable[..., Any]]  # path, its pattern, method, view

_describing = Lock()
DJANGO_PATH_CONVERTER_MAPPING["any_case_uuid"] = OpenApiTypes.UUID


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "notifications.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "From `manage.py token NAME --can send,read`.",
        }


class ViaExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "notifications.api.fields.ViaField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"type": "string", "enum": via_choices()}


class ChannelExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "notifications.api.fields.ChannelField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"type": "string", "enum": sorted(channels.settings)}


class CursorExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "notifications.api.fields.CursorField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"}


class RecipientExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "notifications.api.fields.RecipientField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"type": "string", "format": "recipient", "minLength": 1, "maxLength": self.target.max_length}


def described(endpoints: list[Endpoint], **kwargs: Any) -> list[Endpoint]:
    """Preprocessing: each handler gets what `descriptions` says under the name it wears. Once, for it keeps that."""
    with _describing:
        for _, _, method, view in endpoints:
            handler = getattr(view.cls, method.lower(), None)  # type: ignore[attr-defined]
            name = getattr(handler, "operation", None)
            if name and not hasattr(handler, "kwargs"):  # where `extend_schema` puts it
                getattr(descriptions, name)(handler)
    return endpoints


def as_it_is(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Postprocessing: what drf-spectacular cannot know of our addresses, bodies and serializers."""
    # The slash that an address may end with is not part of it.
    result["paths"] = {path.rstrip("/"): operations for path, operations in result["paths"].items()}
    bulk = result["paths"].get("/api/v1/notifications/bulk")
    if bulk is None:
        return result  # somebody else's addresses
    bulk["post"]["requestBody"]["required"] = True
    # A StrictSerializer refuses what it does not know.
    new = result["components"]["schemas"]["NewNotificationRequest"]
    new["additionalProperties"] = False
    # One line, which is the front desk's rule; the serializer takes off what is blank around it.
    new["properties"]["subject"]["pattern"] = r"^\s*[^\r\n\v\f\x1c-\x1e\x85\u2028\u2029]*\s*$"
    result["components"]["schemas"]["NewSuppressionRequest"]["additionalProperties"] = False
    return result


class Schema(Closed, SpectacularJSONAPIView):
    pass


class Documentation(Closed, SpectacularSwaggerSplitView):
    """The schema as a page, from files that are installed here."""

    http_method_names = ["get", "head"]  # OPTIONS would have no page to be shown on
    url_name = "notifications:schema"
