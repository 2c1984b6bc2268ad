from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.azurite import running_azurite
from tests.harness.certificates import Certificates


@pytest.fixture(scope="session")
def account_url(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The blob endpoint of Azurite, over https; it accepts tokens."""
    with running_azurite(certificates, tmp_path_factory.mktemp("azurite")) as url:
        yield url
