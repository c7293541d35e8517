"""The benchmark's sites stand on the product's settings: what is renamed there must not end a run of half an hour."""

import importlib
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a stage tells its processes."""
    monkeypatch.setenv("BENCH_SETTINGS", '{"BENCH_APPS": ["django_q"], "BENCH_SYSTEM": "floor"}')
    monkeypatch.setenv("BENCH_SLOW_LOG_FILE", "slow.txt")
    yield
    for name in [name for name in sys.modules if name.startswith("benchmarks.")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["settings", "product_settings"])
def test_settings_of_a_site_can_be_read(site: None, name: str) -> None:
    """Law: every setting that a site takes over is still there."""
    settings = importlib.import_module(f"benchmarks.sites.{name}")
    assert settings.DATABASES
    assert settings.MIDDLEWARE
