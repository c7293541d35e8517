"""The peers' endpoint, as the product has it: POST, an answer at once, the work elsewhere."""

import importlib
import os

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

site = importlib.import_module(f"benchmarks.sites.{os.environ['BENCH_SITE']}")


class SendNotification(APIView):
    def post(self, request: Request, email: str) -> Response:
        site.enqueue(email)
        return Response({"message": "Notification sent in the background"})


urlpatterns = [path("send-notification/<str:email>", SendNotification.as_view())]
