"""The harness as pytest fixtures: ``pytest_plugins = ["tests.harness.fixtures"]``.

Each fixture imports what it needs when it is first asked for: this module is loaded for every test,
and the tests of ``core`` need nothing but pytest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Playwright

    from tests.harness.certificates import Certificates
    from tests.harness.panva import Panva
    from tests.harness.person import Person


@pytest.fixture(autouse=True)
def no_foreign_certificate_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    """``requests`` prefers these to a ``verify=`` file of the caller."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def no_event_loop_of_the_browser(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hide the browser's event loop from tests that have no browser.

    Playwright's sync API leaves its loop marked as running in the main thread as long as it
    lives, which is until the session's end: asyncio.run() would refuse to work there.
    """
    loop = asyncio._get_running_loop()
    if loop is None or "browser" in request.fixturenames:
        yield
        return
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The run's own certificate authority and a server certificate for loopback."""
    from tests.harness.certificates import make_certificates

    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def panva_server(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Panva]:
    """The provider's process, one for the whole run (of this worker, with pytest-xdist)."""
    from tests.harness.panva import running_panva

    with running_panva(certificates, tmp_path_factory.mktemp("provider")) as panva:
        yield panva


@pytest.fixture
def panva(panva_server: Panva) -> Panva:
    """The provider, with all faults, changes, lifetimes and requests reset."""
    panva_server.reset()
    return panva_server


@pytest.fixture(scope="session")
def playwright_driver() -> Iterator[Playwright]:
    """Playwright, once a worker: a second one would not start. Its sync API belongs to the main
    thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright_driver: Playwright) -> Iterator[Browser]:
    """One Chromium for the whole run (of this worker)."""
    from tests.harness.person import launch_chromium

    chromium = launch_chromium(playwright_driver)
    yield chromium
    chromium.close()


@pytest.fixture
def browser_context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile: nobody is signed in at the provider."""
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def person() -> Person:
    from tests.harness.person import Person

    return Person()
