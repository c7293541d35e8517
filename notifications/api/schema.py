"""The addresses of the schema and its page. What answers there is loaded when somebody asks: see `operations`."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase
from django.utils.csp import CSP
from django.views.decorators.csp import csp_override
from django.views.decorators.csrf import csrf_exempt

# Swagger UI sets styles from its script; everything else stays as strict as elsewhere.
with_styles = csp_override(settings.SECURE_CSP | {"style-src": [CSP.SELF, CSP.UNSAFE_INLINE]})


@csrf_exempt  # as REST framework's views are: they see to it themselves
@login_not_required
def schema(request: HttpRequest) -> HttpResponseBase:
    from .openapi import Schema

    response: HttpResponseBase = Schema.as_view()(request)
    return response


@csrf_exempt
@login_not_required
@with_styles
def docs(request: HttpRequest) -> HttpResponseBase:
    from .openapi import Documentation

    response: HttpResponseBase = Documentation.as_view()(request)
    return response
