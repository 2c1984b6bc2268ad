"""The pages of the demo under a hub's prefix: `--pages-url`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from nbauth.cli import main
from nbauth.demo.outside import pages_address
from nbauth.demo.servers import Demo, start

from .hub import PAGES_URL, PREFIX, Form, running_hub
from .steps import authorize, public_client, sign_in


@pytest.fixture(scope="module")
def outside() -> Iterator[Demo]:
    with start(pages_url=PAGES_URL) as running:
        yield running


@pytest.fixture
def far_browser() -> Iterator[requests.Session]:
    """A browser that can reach the hub but not this computer's loopback addresses."""
    with running_hub() as hub, requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": hub}
        yield session


def page_port(demo: Demo) -> str:
    return demo.provider.page_origin.rpartition(":")[2]


def test_device_code_through_the_hub(outside: Demo, far_browser: requests.Session) -> None:
    root = f"http://hub.example{PREFIX}/{page_port(outside)}"
    app = public_client(outside)
    complete = "verification_uri_complete"
    for first in (True, False):
        flow = app.initiate_device_flow(["User.Read"])
        assert flow["verification_uri"] == f"{root}/device" and root in flow["message"]
        assert flow[complete] == f"{root}/device?user_code={flow['user_code']}"
        page = far_browser.get(flow["verification_uri"] if first else flow[complete], timeout=5)
        assert "nothing leaves this computer" not in page.text
        form = Form(page)
        assert form.action == f"{root}/device"
        assert form.fields["user_code"] == ("" if first else flow["user_code"])
        page = form.send(far_browser, user_code=flow["user_code"])
        if first:
            person = {"username": outside.user, "password": outside.password}
            wrong = Form(page).send(far_browser, **{**person, "password": "x"}, action="sign-in")
            assert "AADSTS50126" in wrong.text
            page = Form(wrong).send(far_browser, **person, action="sign-in")
            (cookie,) = far_browser.cookies
            assert cookie.domain == "hub.example"
            # The hub also serves other users and Jupyter itself. They must not get this cookie.
            assert cookie.path == f"{PREFIX}/{page_port(outside)}"
        assert "Permissions requested" in page.text  # and no second password prompt
        assert Form(page).action == f"{root}/interaction"
        assert "You are signed in" in Form(page).send(far_browser, action="accept").text
        result = app.acquire_token_by_device_flow(flow)
        assert result["id_token_claims"]["preferred_username"] == outside.user


def test_authorize_and_logout_through_the_hub(outside: Demo, far_browser: requests.Session) -> None:
    client = public_client(outside)
    flow = client.initiate_auth_code_flow(
        ["User.Read"],
        redirect_uri="http://127.0.0.1:5555/",
        response_mode="query",
        prompt="consent",
    )
    root = outside.provider.pages_url
    assert flow["auth_uri"].startswith(f"{root}/{outside.provider.tenant_id}/oauth2/v2.0/authorize")
    form = Form(far_browser.get(flow["auth_uri"], timeout=5))
    assert form.action == f"{root}/interaction"
    person = {"username": outside.user, "password": outside.password, "action": "sign-in"}
    last = Form(form.send(far_browser, **person)).send(far_browser, action="accept")
    assert last.headers["Location"].startswith("http://127.0.0.1:5555/?code=")
    again = far_browser.get(flow["auth_uri"], timeout=5)
    assert "Password" not in again.text
    out = far_browser.get(f"{root}/common/oauth2/v2.0/logout", timeout=5)
    assert "signed out" in out.text
    assert "Password" in far_browser.get(flow["auth_uri"], timeout=5).text


def test_only_the_hubs_host_and_only_the_pages_are_served(outside: Demo, demo: Demo) -> None:
    def status(url: str, host: str) -> int:
        headers = {"Host": host}
        return requests.get(url, headers=headers, verify=outside.ca_file, timeout=5).status_code

    pages = f"{outside.provider.page_origin}/device"
    for host, expected in {
        "hub.example": 200,
        "HUB.example:443": 200,
        "localhost": 200,
        f"127.0.0.1:{page_port(outside)}": 200,
        "evil.example": 421,
        "hub.example.evil.example": 421,
        "": 421,
    }.items():
        assert status(pages, host) == expected, host
    assert status(f"{outside.issuer}/.well-known/openid-configuration", "hub.example") == 421
    assert status(f"{outside.graph_url}/me", "hub.example") == 421
    assert status(f"{demo.provider.page_origin}/device", "hub.example") == 421


def test_the_cookie_is_secure_behind_an_https_hub() -> None:
    with start(pages_url="https://hub.example/proxy/{port}/") as demo:
        assert demo.provider.pages_url == f"https://hub.example/proxy/{page_port(demo)}"
        for host, secure in (("hub.example", True), ("127.0.0.1", False)):
            with requests.Session() as browser:
                browser.headers["Host"] = host
                page = sign_in(demo, browser, authorize(demo, browser))
            assert ("Secure" in page.headers["Set-Cookie"]) is secure


def test_the_kernel_is_configured_for_device_code(outside: Demo, demo: Demo) -> None:
    assert outside.environment()["NBAUTH_FLOW"] == "device"
    assert "NBAUTH_FLOW" not in demo.environment()


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("/user/ada/proxy/{port}", "is a path only"),
        ("", "is not a valid address"),
        ("user/ada/proxy/{port}", "is not a valid address"),
        ("//hub.example/{port}", "is not a valid address"),
        ("ftp://hub.example/{port}", "is not a valid address"),
        ("https:///user/ada/proxy/{port}", "is not a valid address"),
        ("https://ada@hub.example/{port}", "is not a valid address"),
        ("https://hub.example:port/{port}", "is not a valid address"),
        ("https://hub.example/{port}?next=x", "is not a valid address"),
        ("https://hub.example/{port}#x", "is not a valid address"),
        ("https://hub.example/{prot}", "is not a valid address"),
        ("https://hub.example/a b", "is not a valid address"),
        ("https://hub.example/\n", "is not a valid address"),
        ('https://hub.example/"x', "is not a valid address"),
    ],
)
def test_refused_addresses(
    template: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=complaint):
        start(pages_url=template)
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--idp-only", "--pages-url", template])
    assert ended.value.code == 2 and complaint in capsys.readouterr().err


def test_accepted_addresses() -> None:
    assert pages_address("https://h.example/a%20b/{port}/", 7) == "https://h.example/a%20b/7"
    assert pages_address("https://p{port}.h.example", 7) == "https://p7.h.example"
    assert pages_address("http://localhost:{port}", 7) == "http://localhost:7"
