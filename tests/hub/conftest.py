"""JupyterHubs with all that a sign-in by callback needs, started once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.harness.hub import USERS, Hub
from tests.harness.panva import Panva
from tests.harness.person import Person
from tests.harness.served_kernel import ServedKernel
from tests.server.conftest import Server, running

LAYOUTS = {
    "one origin": {},
    "subdomains": {"subdomains": True, "strict": True},
    "no hook": {"hook": False},
}
BEGIN = """
import time, nbauth
from nbauth.jupyter import displayed_panel, screen
screen.PATIENCE = displayed_panel.PATIENCE = 0  # no browser shows a panel of this kernel
nbauth.logout(all=True)
sign_in = nbauth.login(flow="callback", background=True)
while sign_in.authorize_url is None and not sign_in.ended.is_set():
    time.sleep(0.01)
print(sign_in.authorize_url or sign_in.error)
"""
WAIT = "print('waiting'); account = sign_in.wait(60); print('signed in:', account.username)"
STILL_WAITS = "print(sign_in.state, nbauth.accounts())"


@dataclass
class Waiting:
    """A sign-in that a kernel waits for."""

    kernel: ServedKernel
    authorize_url: str
    cell: str

    @property
    def state(self) -> str:
        return parse_qs(urlsplit(self.authorize_url).query)["state"][0]

    def still_waits(self) -> bool:
        return self.kernel.run(STILL_WAITS).text.strip() == "waiting []"

    def end(self) -> str:
        """What the waiting cell printed."""
        result = self.kernel.wait(self.cell, timeout=30)[self.cell]
        return f"{result.text}{result.error}"


def begin(kernel: ServedKernel, *, wait: bool = True) -> Waiting:
    """Begin a sign-in by callback; with *wait* a cell blocks on it."""
    begun = kernel.run(BEGIN)
    authorize_url = begun.text.strip()
    assert authorize_url.startswith("https://"), (begun.text, begun.traceback)
    cell = ""
    if wait:
        cell = kernel.send(WAIT)
        kernel.wait_text(cell, "waiting")
    return Waiting(kernel, authorize_url, cell)


HubFactory = Callable[[str], Hub]


@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A kernel gateway that asks for a token."""
    option = "--KernelGatewayApp.auth_token=TOKEN"
    with running(tmp_path_factory.mktemp("gateway"), "kernel_gateway", option) as started:
        yield started


@pytest.fixture(scope="package")
def hubs(panva_server: Panva, gateway: Server) -> Iterator[HubFactory]:
    """``hubs(layout)``: a hub of each layout, with ada's and bob's servers running.

    All are started at the same time, which takes less time than one after the other.
    """

    def start(layout: str) -> Hub:
        options = LAYOUTS[layout]
        if layout == "one origin":
            options = {"gateway": (gateway.url, gateway.token)}
        hub = stack.enter_context(Hub(**options, env=environment(panva_server)))
        panva_server.register(hub.redirect_uri)
        hub.start_servers(*(("ada",) if layout == "no hook" else ("ada", "bob")))
        return hub

    with contextlib.ExitStack() as stack, ThreadPoolExecutor() as threads:
        starting = {layout: threads.submit(start, layout) for layout in LAYOUTS}
        wait(starting.values())
        yield lambda layout: starting[layout].result()


def environment(panva: Panva) -> dict[str, str]:
    """The variables with which ``%login`` signs in at panva's provider."""
    return {
        "NBAUTH_AUTHORITY": panva.issuer,
        "NBAUTH_CLIENT_ID": panva.client_id,
        "NBAUTH_VERIFY": panva.ca_file,
    }


@pytest.fixture
def kernels(hubs: HubFactory) -> Callable[..., ServedKernel]:
    """``kernels(hub, user, server="")``: that user's kernel there, the same for the whole run."""

    def kernel(hub: Hub, user: str, server: str = "") -> ServedKernel:
        if (user, server) not in hub.kernels:
            hub.kernels[user, server] = hub.start_kernel(user, server)
            hub.kernels[user, server].run(
                f"import os; os.environ['NBAUTH_REDIRECT_URI'] = {hub.redirect_uri!r}"
            )
        return hub.kernels[user, server]

    return kernel


@pytest.fixture(scope="package")
def cookie_jars() -> dict[tuple[str, str], Any]:
    """The cookies of those who have logged in at a hub."""
    return {}


People = Callable[..., BrowserContext]


@pytest.fixture
def people(browser: Browser, cookie_jars: dict[tuple[str, str], Any]) -> Iterator[People]:
    """``people(hub, "ada")``: a new browser profile in which that user is logged in at the hub.

    Nobody is signed in at the provider in it, and nobody at the hub for the user ``None``. Options
    are Playwright's.
    """
    opened: list[BrowserContext] = []

    def profile(hub: Hub, user: str | None, **options: Any) -> BrowserContext:
        known = cookie_jars.get((hub.host, user or ""))
        context = browser.new_context(ignore_https_errors=True, storage_state=known, **options)
        context.set_default_timeout(15_000)
        opened.append(context)
        if user is not None and known is None:
            hub.log_in(context, user)
            cookie_jars[hub.host, user] = context.storage_state()
        return context

    yield profile
    for context in opened:
        context.close()


def sign_in_at(
    context: BrowserContext, authorize_url: str, person: Person, user: str = "ada"
) -> Page:
    """Click through the provider's pages; gives the browser page at the end."""
    page = context.new_page()
    person.open_and_sign_in(page, authorize_url, user)
    return page


SCOPE = "admin:auth_state!user"


@pytest.fixture(scope="package")
def oauth_hub(panva_server: Panva) -> Iterator[Hub]:
    """A hub whose users log in at panva's provider. It stores and refreshes their tokens, and gives
    them to ada's server, but not to bob's."""
    settings = {
        "JupyterHub.authenticator_class": "generic-oauth",
        "GenericOAuthenticator.client_id": panva_server.confidential_client_id,
        "GenericOAuthenticator.client_secret": panva_server.client_secret,
        "GenericOAuthenticator.basic_auth": True,
        "GenericOAuthenticator.authorize_url": f"{panva_server.issuer}/auth",
        "GenericOAuthenticator.token_url": f"{panva_server.issuer}/token",
        "GenericOAuthenticator.userdata_url": f"{panva_server.issuer}/me",
        "GenericOAuthenticator.username_claim": "preferred_username",
        "GenericOAuthenticator.scope": ["openid", "profile", "offline_access", "read"],
        "GenericOAuthenticator.extra_authorize_params": {"prompt": "consent"},
        "GenericOAuthenticator.http_request_kwargs": {"ca_certs": panva_server.ca_file},
        "Authenticator.allowed_users": set(USERS),
        "Authenticator.enable_auth_state": True,
        "Authenticator.auth_refresh_age": 1,
        "JupyterHub.load_roles": [
            {"name": "own-tokens", "users": ["ada"], "scopes": [SCOPE]},
            {
                "name": "server",
                "scopes": ["users:activity!user", "access:servers!server", SCOPE],
            },
        ],
    }
    with Hub(hook=False, env=environment(panva_server), settings=settings, crypt_key=True) as hub:
        redirect_uri = f"{hub.host}/hub/oauth_callback"
        panva_server.register(redirect_uri, panva_server.confidential_client_id)
        yield hub
