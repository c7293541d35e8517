"""docs/own-project.md: the settings on it are enough."""

import re
from pathlib import Path

import pytest

from tests.processes import ROOT, manage

pytestmark = pytest.mark.process

BEFORE = """
from pathlib import Path
BASE_DIR = Path(__file__).parent
SECRET_KEY = "x"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "page_urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
"""
STORY = """
from django.test import Client
from django.test.utils import setup_test_environment
from notifications import services
setup_test_environment()
services.accept(recipient="you@example.com", message="hello")
print([Client().get(path).status_code for path in ("/livez", "/api/v1/notifications", "/api/v1/docs")])
"""


def test_its_settings(tmp_path: Path) -> None:
    """No check complains, what is accepted is delivered, the API is closed; no schema without its library."""
    settings, addresses, *_ = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/own-project.md").read_text(), re.DOTALL
    )
    (tmp_path / "page_settings.py").write_text(BEFORE + settings)
    imports = "from django.urls import include, path\n"
    (tmp_path / "page_urls.py").write_text(imports + addresses.replace("    ...,\n", ""))
    place = {"DJANGO_SETTINGS_MODULE": "page_settings", "PYTHONPATH": str(tmp_path)}
    for command in (["check", "--fail-level", "WARNING"], ["migrate", "--verbosity", "0"]):
        done = manage(*command, env=place)
        assert done.returncode == 0, done.stderr
    told = manage("shell", "--verbosity", "0", "--no-imports", "--command", STORY, env=place)
    assert told.stdout.strip() == "[200, 401, 404]", told.stderr
    assert manage("qcluster", "--run-once", env=place).returncode == 0
    assert (tmp_path / "log.txt").read_text() == "notification for you@example.com: hello\n"
