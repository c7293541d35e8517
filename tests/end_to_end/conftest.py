"""One service for all end-to-end tests: web and workers on a private database."""

from collections.abc import Iterator

import pytest

from tests.processes import answers, private_database
from tests.service import Service, serving

__all__ = ["Service", "answers", "service"]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, migrated: str) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with (
        private_database(folder, template=migrated) as database_url,
        serving(
            folder,
            database_url,
            DJANGO_SETTINGS_MODULE="tests.end_to_end.settings",
            TEST_CHANNEL="gated",
        ) as service,
    ):
        yield service
