"""The whole Chromium, Firefox and WebKitGTK, and one notebook in each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.conftest import product_environment
from tests.harness.jupyter import Lab, LabFactory
from tests.harness.lab_page import LabPage
from tests.harness.panva import Panva


@pytest.fixture(scope="package", params=["chromium", "firefox", "webkit"])
def browser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """One browser of each kind for these tests; each starts when the one before has ended."""
    if request.param == "chromium":
        from tests.harness.person import launch_chromium

        chromium = launch_chromium(request.getfixturevalue("playwright_driver"), whole=True)
        yield chromium
        chromium.close()
    elif request.param == "firefox":
        from tests.harness.firefox import launch_firefox

        firefox = launch_firefox(request.getfixturevalue("playwright_driver"))
        yield firefox
        firefox.close()
    else:
        from tests.harness.webkit import running_webkit

        with running_webkit(tmp_path_factory.mktemp("webkit")) as webkit:
            yield webkit


@pytest.fixture(scope="session")
def lab(lab_factory: LabFactory, panva_server: Panva) -> Lab:
    """A JupyterLab with the callback page, whose kernels know the provider."""
    started = lab_factory(
        env=product_environment(panva_server), server_extensions=("nbauth.server",)
    )
    panva_server.register(f"{started.url}/nbauth/callback")
    return started


@pytest.fixture(scope="package")
def shared_page(browser: Any, lab: Lab) -> Iterator[LabPage]:
    """A notebook in this browser, for all tests: it costs more than they do.

    Each test puts its own line into cell 1; cell 2 prints, and cell 3 is there to type in.
    """
    lab.write_notebook("browsers.ipynb", ["%load_ext nbauth", "", "print('after', 1 + 1)", ""])
    context = browser.new_context(viewport={"width": 1280, "height": 900}, ignore_https_errors=True)
    page = LabPage(context.new_page(), lab.url, lab.token)
    page.open("browsers.ipynb", timeout=120)
    page.run(0)
    yield page
    page.end_session()
    context.close()
    with contextlib.suppress(OSError):  # other tests of this process may have ended this server
        lab.shut_down_kernels()


@pytest.fixture
def page(shared_page: LabPage, panva: Panva) -> Iterator[LabPage]:
    """That notebook with nobody signed in, nor at the provider, and no cell that waits."""
    panva.reset(storage=True)
    yield shared_page
    if shared_page.cell_prompt(1) == "*":
        shared_page.interrupt()
        shared_page.wait_cell_done(1)
    shared_page.set_cell(1, "%logout --all")
    shared_page.run(1)
