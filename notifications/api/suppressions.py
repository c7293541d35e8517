"""The suppression list: who is on it, put somebody there, take somebody off. One list for all callers."""

from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from .. import suppression
from ..models import Suppression
from .door import Door
from .operations import operation
from .pagination import page
from .permissions import owner
from .serializers import NewSuppressionSerializer, SuppressionQuerySerializer, SuppressionSerializer

# Not Django's view, add and delete of the model: those are the admin's, which masks the addresses it shows.
RIGHT = "manage_suppressions"


class Suppressions(Door):
    """All entries, newest first; or a new one."""

    rights = {"GET": RIGHT, "POST": RIGHT}

    @property
    def query_parameters(self) -> list[str]:  # type: ignore[override]
        return list(SuppressionQuerySerializer().fields) if self.request.method == "GET" else []

    @operation("list_suppressions")
    def get(self, request: Request) -> Response:
        serializer = SuppressionQuerySerializer(data=request.query_params.dict())
        serializer.is_valid(raise_exception=True)
        query = serializer.validated_data
        rows: QuerySet[Suppression] = Suppression.objects.filter(
            **{name: query[name] for name in ("category", "reason") if name in query}
        )
        if "address" in query:
            rows = rows.filter(address=suppression.sought(query["address"]))
        found = page(rows, request, query)
        return Response({"next": found.next, "results": SuppressionSerializer(found.rows, many=True).data})

    @operation("suppress")
    def post(self, request: Request) -> Response:
        serializer = NewSuppressionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        entry, is_new = suppression.add(**serializer.validated_data, created_by=owner(request))
        return Response(
            SuppressionSerializer(entry).data,
            status=201 if is_new else 200,
            headers={"Location": reverse("notifications:suppression", args=[entry.pk])},
        )


class SuppressionDetail(Door):
    """One entry."""

    rights = {"GET": RIGHT, "DELETE": RIGHT}

    @operation("suppression")
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(SuppressionSerializer(get_object_or_404(Suppression, pk=pk)).data)

    @operation("lift")
    def delete(self, request: Request, pk: UUID) -> Response:
        suppression.remove([get_object_or_404(Suppression, pk=pk)])
        return Response(status=204)
