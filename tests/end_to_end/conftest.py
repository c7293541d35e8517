"""One service for all end-to-end tests: web and workers on a private database."""

from collections.abc import Iterator

import pytest

from tests.processes import private_database
from tests.service import Service, answers, serving

__all__ = ["Service", "answers", "service"]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with (
        private_database(folder) as database_url,
        serving(
            folder,
            database_url,
            DJANGO_SETTINGS_MODULE="tests.end_to_end.settings",
            TEST_CHANNEL="gated",
        ) as service,
    ):
        yield service
