"""The hub's own token of a user: used in a kernel, exchanged for another, and always the newest."""

from __future__ import annotations

import time

import pytest
import requests

from tests.harness.hub import Hub
from tests.harness.panva import Panva
from tests.harness.person import Person
from tests.harness.served_kernel import ServedKernel

pytestmark = pytest.mark.browser
LOGIN = """
import nbauth
nbauth.configure(refresh_ahead=False)
nbauth.logout(all=True)
try:
    account = nbauth.login({scopes!r}, quiet=True, {options})
    token = nbauth.token({scopes!r}, {client})
    print(account.username, token)
except nbauth.NbAuthError as error:
    print(error.code, "|", error, "|", error.hint)
"""


@pytest.fixture(scope="module")
def kernel(oauth_hub: Hub, panva_server: Panva, browser) -> ServedKernel:
    """A kernel of ada, who has logged in at the hub by the provider."""
    return logged_in(oauth_hub, browser, "ada")


def logged_in(hub: Hub, browser, user: str) -> ServedKernel:
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{hub.host}/hub/oauth_login?next=%2Fhub%2Fhome")
    Person().sign_in(page, user)
    page.wait_for_url("**/hub/home")
    context.close()
    hub.start_servers(user)
    hub.kernels[user, ""] = hub.start_kernel(user)  # the hub ends those that it knows
    return hub.kernels[user, ""]


def login(kernel: ServedKernel, scopes: str, options: str, client: str = "") -> str:
    done = kernel.run(LOGIN.format(scopes=scopes, options=options, client=client), timeout=60)
    assert not done.error, done.traceback
    return done.text.strip()


def me(panva: Panva, token: str) -> requests.Response:
    with requests.Session() as http:
        http.trust_env = False
        headers = {"Authorization": f"Bearer {token}"}
        return http.get(panva.api_url, headers=headers, verify=panva.ca_file, timeout=10)


def test_the_hubs_token_is_the_users(kernel: ServedKernel, panva: Panva) -> None:
    name, token = login(kernel, "read", "flow='hub'").split()
    assert name == "ada"
    answer = me(panva, token)
    assert answer.status_code == 200, answer.text
    assert answer.json()["sub"] == "ada"
    assert "read" in answer.json()["scope"]


def test_it_is_read_anew_when_the_hub_has_refreshed_it(kernel: ServedKernel, panva: Panva) -> None:
    first = login(kernel, "read", "flow='hub'").split()[1]
    panva.fault("userinfo", "json", status=401, body={"error": "invalid_token"})  # it has expired
    time.sleep(1.1)  # auth_refresh_age
    before = panva.token_requests("refresh_token")
    renewed = kernel.run(
        "print(nbauth.acquire('read', flow='hub', force_refresh=True).access_token)", timeout=60
    )
    second = renewed.text.strip()
    assert panva.token_requests("refresh_token") == before + 1, "by the hub"
    assert second != first, renewed.traceback
    assert me(panva, second).status_code == 200


def test_it_is_exchanged_for_a_token_of_an_api(kernel: ServedKernel, panva: Panva) -> None:
    own = login(kernel, "read", "flow='hub'").split()[1]
    kernel.run(f"import os; os.environ['NBAUTH_CLIENT_SECRET'] = {panva.client_secret!r}")
    client = f"client_id={panva.confidential_client_id!r}, client_secret_from='environment'"
    told = login(kernel, "write", f"flow='obo', {client}", client)
    assert told.startswith("ada "), told
    token = told.split()[1]
    assert token != own
    answer = me(panva, token)
    assert (answer.status_code, answer.json()["scope"]) == (200, "write")
    again = kernel.run(
        f"print(nbauth.acquire('write', force_refresh=True, {client}).access_token)", timeout=60
    )
    assert again.text.strip() not in ("", token), again.traceback
    exchanges = panva.token_requests("urn:ietf:params:oauth:grant-type:token-exchange")
    assert exchanges == 2


def test_a_server_without_the_scope(oauth_hub: Hub, browser, kernel: ServedKernel) -> None:
    bob = logged_in(oauth_hub, browser, "bob")
    told = login(bob, "read", "flow='hub'")
    assert told.startswith("no_auth_state_scope | The hub does not give auth_state")
    assert "admin:auth_state!user" in told


def test_no_token_is_in_the_hubs_log(oauth_hub: Hub, kernel: ServedKernel, panva: Panva) -> None:
    token = login(kernel, "read", "flow='hub'").split()[1]
    assert len(token) > 20 and token not in oauth_hub.log
