"""What gunicorn is told, for the sake of the proxies before it."""

import runpy
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    def configured(debug: str) -> dict[str, Any]:
        monkeypatch.setenv("DEBUG", debug)
        return runpy.run_path("gunicorn.conf.py")

    return configured


def test_the_proxy_closes_first(configured: Any) -> None:
    """No proxy that is named in docs/deployment.md keeps an idle connection for as long, unless it is told to."""
    assert configured("false")["keepalive"] > 120
    assert configured("false")["worker_class"] == "project.connections.Worker"
