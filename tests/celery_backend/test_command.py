"""`celery -A project …` as an operator types it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

pytestmark = [pytest.mark.process, pytest.mark.slow]


def celery(*arguments: str, broker_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("celery"), "-A", "project", *arguments],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "CELERY_BROKER_URL": broker_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("broker_url", "told"), [("", "set CELERY_BROKER_URL"), ("sentinel://host:26379", "E002")]
)
def test_a_wrong_setting_is_told_in_words(broker_url: str, told: str) -> None:
    """As `manage.py` does: what is wrong and how to mend it, no traceback."""
    done = celery("worker", broker_url=broker_url)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_its_output_is_celerys_own() -> None:
    """`inspect --json` must stay JSON."""
    done = celery("report", broker_url="amqp://127.0.0.1:1//")
    assert "System check" not in done.stdout
    assert done.returncode == 0
