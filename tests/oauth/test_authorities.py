from __future__ import annotations

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.core.settings import resolve
from nbauth.core.settings_values import CLOUDS as CLOUD_NAMES
from nbauth.oauth.authorities import CLOUDS, Authority, authority_from, parse

GUID = "11111111-2222-3333-4444-555555555555"
LOGIN = "https://login.microsoftonline.com"


@pytest.mark.parametrize(
    ("address", "kind", "url", "tenant", "cloud"),
    [
        (f"{LOGIN}/common", "entra", f"{LOGIN}/common", "common", "public"),
        (f"{LOGIN}/organizations/", "entra", f"{LOGIN}/organizations", "organizations", "public"),
        (f"{LOGIN}/consumers", "entra", f"{LOGIN}/consumers", "consumers", "public"),
        (f"{LOGIN}/{GUID}", "entra", f"{LOGIN}/{GUID}", GUID, "public"),
        (f"{LOGIN}/contoso.com", "entra", f"{LOGIN}/contoso.com", "contoso.com", "public"),
        (f"{LOGIN}/contoso.com/v2.0", "entra", f"{LOGIN}/contoso.com", "contoso.com", "public"),
        (f"{LOGIN}/{GUID}/v2.0/", "entra", f"{LOGIN}/{GUID}", GUID, "public"),
        (
            f"  HTTPS://LOGIN.MicrosoftOnline.com/{GUID} ",
            "entra",
            f"{LOGIN}/{GUID}",
            GUID,
            "public",
        ),
        (
            f"https://sts.windows.net/{GUID}",
            "entra",
            f"https://sts.windows.net/{GUID}",
            GUID,
            "public",
        ),
        (
            "https://login.microsoftonline.us/common",
            "entra",
            "https://login.microsoftonline.us/common",
            "common",
            "usgov",
        ),
        (
            "https://login.partner.microsoftonline.cn/contoso.cn",
            "entra",
            "https://login.partner.microsoftonline.cn/contoso.cn",
            "contoso.cn",
            "china",
        ),
        (
            f"https://127.0.0.1:8443/{GUID}/v2.0",
            "entra",
            f"https://127.0.0.1:8443/{GUID}",
            GUID,
            "public",
        ),
        (
            "https://stack.example/common",
            "entra",
            "https://stack.example/common",
            "common",
            "public",
        ),
        (
            "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_signin",
            "b2c",
            "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_signin",
            "contoso.onmicrosoft.com",
            "public",
        ),
        (
            "https://contoso.b2clogin.com/tfp/contoso.onmicrosoft.com/B2C_1_signin/",
            "b2c",
            "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_signin",
            "contoso.onmicrosoft.com",
            "public",
        ),
        (
            "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_signin/v2.0/",
            "b2c",
            "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_signin",
            "contoso.onmicrosoft.com",
            "public",
        ),
        (
            "https://contoso.ciamlogin.com",
            "external-id",
            "https://contoso.ciamlogin.com/contoso.onmicrosoft.com",
            "contoso.onmicrosoft.com",
            "public",
        ),
        (
            f"https://contoso.ciamlogin.com/{GUID}/v2.0",
            "external-id",
            f"https://contoso.ciamlogin.com/{GUID}",
            GUID,
            "public",
        ),
        (
            "https://fs.contoso.com/ADFS/",
            "adfs",
            "https://fs.contoso.com/adfs",
            "",
            "public",
        ),
        ("https://id.example", "oidc", "https://id.example", "", "public"),
        ("https://id.example/", "oidc", "https://id.example", "", "public"),
        ("https://ID.example:8443/Realm/", "oidc", "https://id.example:8443/Realm", "", "public"),
        (
            "https://id.example/realms/a/.well-known/openid-configuration",
            "oidc",
            "https://id.example/realms/a",
            "",
            "public",
        ),
        ("https://id.example/tenant/v2.0", "oidc", "https://id.example/tenant/v2.0", "", "public"),
        ("https://[::1]:8443/realm", "oidc", "https://[::1]:8443/realm", "", "public"),
        # Only whole names count as Microsoft's.
        (
            "https://login.microsoftonline.com.evil.example/x",
            "oidc",
            "https://login.microsoftonline.com.evil.example/x",
            "",
            "public",
        ),
        (
            "https://notb2clogin.com/contoso/policy",
            "oidc",
            "https://notb2clogin.com/contoso/policy",
            "",
            "public",
        ),
    ],
)
def test_what_an_address_is(address: str, kind: str, url: str, tenant: str, cloud: str) -> None:
    found = parse(address)
    assert (found.kind, found.url, found.tenant, found.cloud) == (kind, url, tenant, cloud)
    assert found.microsoft is (kind != "oidc")


def test_dod_shares_usgovs_login_host_and_is_told_by_the_cloud() -> None:
    address = "https://login.microsoftonline.us/common"
    assert parse(address, "dod").cloud == "dod"
    assert parse(address, "public").cloud == "usgov"
    assert parse(f"{LOGIN}/common", "dod").cloud == "public"


@pytest.mark.parametrize(
    "address",
    [
        "http://login.microsoftonline.com/common",
        "http://id.example",
        "HTTP://127.0.0.1:8080/realm",
    ],
)
def test_http_is_refused_because_tokens_would_cross_in_the_clear(address: str) -> None:
    with pytest.raises(ConfigurationError, match="in the clear") as caught:
        parse(address)
    assert caught.value.code == "bad_authority"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "contoso.com",
        "login.microsoftonline.com/common",
        "ftp://id.example",
        "https://",
        "https:///common",
        "https://user@id.example",
        "https://login.microsoftonline.com@evil.example/common",
        "https://user:password@id.example",
        "https://id.example?tenant=x",
        "https://id.example/#x",
        "https://[id.example",
        "https://id.example:port",
        "https://id.example:99999",
        f"{LOGIN}",
        f"{LOGIN}/",
        f"{LOGIN}/a/b",
        f"{LOGIN}/../x",
        f"{LOGIN}/con%2ftoso",
        f"{LOGIN}/common/v2.0/.well-known/openid-configuration",
        "https://contoso.b2clogin.com/contoso.onmicrosoft.com",
        "https://contoso.b2clogin.com/",
        "https://contoso.b2clogin.com/a/b/c",
    ],
)
def test_what_is_no_authority_is_refused_with_how_one_looks(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(address)
    assert caught.value.code == "bad_authority"
    assert "https://" in caught.value.hint
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("cloud", CLOUD_NAMES)
def test_every_cloud_has_its_own_login_and_graph(cloud: str) -> None:
    found = authority_from(resolve({"cloud": cloud}, {}, {}))
    assert found == parse(found.url, cloud)
    assert found.url.startswith(f"https://{CLOUDS[cloud].login_host}/common")
    assert found.graph == CLOUDS[cloud].graph
    assert found.hosts[found.graph.removeprefix("https://")] == found.graph


def test_no_cloud_lists_another_clouds_graph() -> None:
    for name, cloud in CLOUDS.items():
        graphs = [host for host in cloud.hosts if "graph" in host]
        assert graphs == [cloud.graph.removeprefix("https://")], name


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, f"{LOGIN}/common"),
        ({"tenant": "contoso.com"}, f"{LOGIN}/contoso.com"),
        ({"tenant": GUID, "cloud": "china"}, f"https://login.chinacloudapi.cn/{GUID}"),
        (
            {"authority": "https://id.example", "tenant": "x", "cloud": "usgov"},
            "https://id.example",
        ),
    ],
)
def test_the_authority_that_settings_name(settings: dict[str, str], url: str) -> None:
    assert authority_from(resolve(settings, {}, {})).url == url


@pytest.mark.parametrize("tenant", ["a/b", "../x", "a b", "a?b", "a@b", ".com", "a\nb", "a%2fb"])
def test_what_is_no_tenant_is_refused(tenant: str) -> None:
    with pytest.raises(ConfigurationError, match="not a tenant|control character"):
        authority_from(resolve({"tenant": tenant}, {}, {}))


@pytest.mark.parametrize("kind", ["b2c", "external-id", "adfs", "oidc"])
def test_no_api_hosts_are_built_in_outside_entra(kind: str) -> None:
    assert Authority(kind, "https://x.example").hosts == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "prompt", "refused"),
    [
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_signin", "create", True),
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_signin", "login", False),
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_Edit_profile", "login", True),
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_Edit_profile", None, False),
        (f"{LOGIN}/common", "create", False),
        ("https://id.example", "create", False),
        ("https://id.example/edit", "login", False),
        ("https://adfs.contoso.com/adfs", "create", False),
    ],
)
def test_prompts_that_an_authority_cannot_serve(
    address: str, prompt: str | None, refused: bool
) -> None:
    authority = parse(address)
    if not refused:
        authority.refuse_prompt(prompt)
        return
    with pytest.raises(ConfigurationError) as caught:
        authority.refuse_prompt(prompt)
    assert caught.value.code == "bad_prompt"
