"""A service whose broker is away, with a fallback: real processes, one of which is missing."""

from pathlib import Path

import pytest

from tests.processes import free_port, private_database, wait_until
from tests.service import serving

pytestmark = [pytest.mark.process, pytest.mark.slow]


def test_without_its_broker_the_service_sends_through_the_queue(tmp_path: Path, migrated: str) -> None:
    """What was accepted before the broker is missed is handed over; then the answer itself says who took it."""
    env = {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "CELERY_BROKER_URL": f"amqp://127.0.0.1:{free_port()}//",
        "WEB_CONCURRENCY": "1",
    }
    with (
        private_database(tmp_path, template=migrated) as database_url,
        serving(tmp_path, database_url, **env) as service,
        service.client() as client,
    ):
        wait_until(lambda: client.get("/readyz").status_code == 200)  # a cluster is heard of
        answers = [client.post("/send-notification/you@example.com?via=celery")]

        def taken_by_the_queue() -> bool:
            answers.append(client.post("/send-notification/you@example.com?via=celery"))
            return answers[-1].headers["Notification-Via"] == "queue"

        wait_until(taken_by_the_queue)
        assert answers[-1].headers["Notification-Requested-Via"] == "celery"
        for answer in answers:
            assert answer.content == b'{"message":"Notification sent in the background"}'
            assert service.finished(client, answer.headers["Location"])["status"] == "sent"
        assert len(service.log_lines()) == len(answers)
