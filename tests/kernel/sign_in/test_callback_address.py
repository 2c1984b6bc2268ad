"""The redirect address of the callback flow: derived, or checked if it is configured."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nbauth.core.errors import ConfigurationError, FlowUnavailable
from nbauth.kernel.sign_in.receivers.callback_address import callback_address

ADDRESS = "https://hub.example/hub/user-redirect/nbauth/callback"


@dataclass(frozen=True)
class Page:
    origin: str = "http://127.0.0.1:8888"
    base_url: str = "/"
    hub_host: str = ""
    hub_prefix: str = ""
    server_name: str = ""


HUB = Page("https://hub.example", "/user/ada/", "", "/hub/")
NAMED = Page("https://hub.example", "/user/ada/gpu/", "", "/hub/", "gpu")
SUBDOMAIN = Page("https://ada.hub.example", "/user/ada/", "https://hub.example", "/x/hub/")
TUNNEL = "http://localhost:8000/hub/user-redirect/nbauth/callback"
OWN_PAGE = "https://hub.example/user/ada/gpu/nbauth/callback"
TUNNELLED = Page("http://localhost:8000", "/user/ada/", "", "/hub/")
BY_NAME = "https://hub.example/hub/user-redirect/gpu/nbauth/callback"
ENV_HUB = {
    "JUPYTERHUB_PUBLIC_HUB_URL": "https://hub.example/hub/",
    "JUPYTERHUB_PUBLIC_URL": "https://hub.example/user/ada/gpu/",
    "JUPYTERHUB_SERVER_NAME": "gpu",
}
ENV_PATHS = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/", "JUPYTERHUB_BASE_URL": "/"}
JOERG = Page("https://hub.example", "/user/j%C3%B6rg%20m/", "", "/hub/")
ENV_SERVER = {"JUPYTERHUB_PUBLIC_URL": "https://hub.example/user/ada/"}


@pytest.mark.parametrize(
    ("page", "environ", "configured", "expected"),
    [
        (Page(), {}, None, ("http://127.0.0.1:8888/nbauth/callback", "")),
        (Page(base_url="/a/b/"), {}, None, ("http://127.0.0.1:8888/a/b/nbauth/callback", "")),
        (HUB, {}, None, (ADDRESS, "")),
        (NAMED, {}, None, (ADDRESS, "gpu")),
        (HUB, ENV_HUB, None, (ADDRESS, "")),  # the page knows better than the environment
        (SUBDOMAIN, {}, None, (ADDRESS.replace("/hub/", "/x/hub/"), "")),
        (None, ENV_HUB, None, (ADDRESS, "gpu")),
        (None, ENV_SERVER, None, ("https://hub.example/user/ada/nbauth/callback", "")),
        (NAMED, {}, OWN_PAGE, (OWN_PAGE, "gpu")),
        (None, ENV_HUB, OWN_PAGE, (OWN_PAGE, "gpu")),
        (None, {}, OWN_PAGE, (OWN_PAGE, "")),
        (HUB, {}, "http://localhost:8400/x", (ADDRESS, "")),
        (HUB, {}, "http://127.0.0.1", (ADDRESS, "")),
        (TUNNELLED, {}, TUNNEL, (TUNNEL, "")),
        (None, {}, TUNNEL, (TUNNEL, "")),
        (HUB, {}, "http://[::1]/", (ADDRESS, "")),
        (NAMED, {}, BY_NAME, (BY_NAME, "gpu")),
        (HUB, {}, ADDRESS.replace("hub.example", "HUB.example:443"), None),
        (JOERG, {}, f"https://hub.example{JOERG.base_url}nbauth/callback", None),
        (JOERG, {}, "https://hub.example/user/j\u00f6rg%20m/nbauth/callback", None),
        (SUBDOMAIN, {}, "https://ada.hub.example/user/ada/nbauth/callback", None),
        (SUBDOMAIN, {}, "https://hub.example/x/hub/user-redirect/nbauth/callback", None),
        # A page that does not know of the hub (Voila), in a process that does.
        (Page("https://hub.example", "/user/ada/"), ENV_PATHS, ADDRESS, None),
        (None, ENV_PATHS, ADDRESS, None),
        (None, ENV_PATHS, "https://hub.example/user/ada/nbauth/callback", None),
    ],
)
def test_the_address(page, environ, configured, expected):
    if expected is None:
        server_name = page.server_name if page else ""
        expected = configured, server_name
    assert callback_address(page, environ, configured) == expected


@pytest.mark.parametrize(
    ("page", "environ"),
    [
        (None, {}),
        (Page(origin=""), {}),
        (None, {"JUPYTERHUB_PUBLIC_URL": "", "JUPYTERHUB_PUBLIC_HUB_URL": ""}),
    ],
)
def test_an_address_that_nobody_knows_says_what_to_do(page, environ):
    with pytest.raises(FlowUnavailable) as caught:
        callback_address(page, environ, "http://localhost")
    assert "redirect_uri" in caught.value.hint
    assert caught.value.suggested_flow == "device"


AT_HUB = "https://hub.example"
WRONG = {
    "the hub's root": f"{AT_HUB}/",
    "the hub": f"{AT_HUB}/hub/",
    "another path": f"{AT_HUB}/hub/user-redirect/lab",
    "another page": f"{AT_HUB}/user/ada/lab",
    "no redirect of the hub's": f"{AT_HUB}/hub/nbauth/callback",
    "a longer path": f"{ADDRESS}/x",
    "a file of that name": f"{AT_HUB}/user/ada/files/nbauth/callback",
    "another user's server": f"{AT_HUB}/user/bob/nbauth/callback",
    "another user by an escaped path": f"{AT_HUB}/user/ada/..%2Fbob/nbauth/callback",
    "another server of hers": f"{AT_HUB}/user/ada/gpu/nbauth/callback",
    "another server by the hub": f"{AT_HUB}/hub/user-redirect/gpu/nbauth/callback",
    "a query": f"{ADDRESS}?x=y",
    "an empty query": f"{ADDRESS}?",
    "an escaped slash": ADDRESS.replace("nbauth/", "nbauth%2F"),
    "an escaped slash in the hub's path": ADDRESS.replace("hub/user", "hub%2Fuser"),
    "an escaped slash in her server's": f"{AT_HUB}/user%2Fada/nbauth/callback",
    "a fragment": f"{ADDRESS}#x",
    "a user name": ADDRESS.replace("//", "//ada@"),
    "a host of nobody's": ADDRESS.replace("hub.example", "nobody.example"),
    "a host that only begins so": ADDRESS.replace("hub.example", "hub.example.evil.example"),
    "another port": ADDRESS.replace("hub.example", "hub.example:8443"),
    "plain http": ADDRESS.replace("https:", "http:"),
    "a scheme of nobody's": ADDRESS.replace("https:", "ftp:"),
    "no web address": "urn:ietf:wg:oauth:2.0:oob",
    "loopback": "http://localhost:8888/nbauth/callback",
    "loopback of the hub": TUNNEL,
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    ("page", "environ"),
    [(HUB, {}), (HUB, ENV_PATHS), (None, ENV_PATHS | ENV_SERVER)],
    ids=["page", "both", "environment"],
)
def test_an_address_that_does_not_lead_here_is_refused(page, environ, wrong):
    with pytest.raises(ConfigurationError) as caught:
        callback_address(page, environ, WRONG[wrong])
    assert str(caught.value).startswith("The setting redirect_uri is ")
    assert "ada@" not in str(caught.value)
    assert caught.value.code == "bad_redirect_uri"
    usual = ADDRESS if page else f"{AT_HUB}/user/ada/nbauth/callback"
    assert f"Set it to {usual}, as registered" in caught.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        "the hub's root",
        "another path",
        "a query",
        "an empty query",
        "an escaped slash",
        "a user name",
        "a scheme of nobody's",
    ],
)
def test_what_can_never_be_a_callback_is_refused_where_nothing_is_known(wrong):
    with pytest.raises(ConfigurationError) as caught:
        callback_address(None, {}, WRONG[wrong])
    assert "<your Jupyter server's address>/nbauth/callback" in caught.value.hint
