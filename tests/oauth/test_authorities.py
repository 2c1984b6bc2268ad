from __future__ import annotations

import pytest

from nbauth.core.errors import ConfigurationError, FlowUnavailable
from nbauth.core.settings import resolve
from nbauth.core.settings_values import CLOUDS as CLOUD_NAMES
from nbauth.oauth.authorities import CONSUMERS, Authority, authority_from, parse
from nbauth.oauth.clouds import CLOUDS

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
            f"{LOGIN}/{GUID}",
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
        # The aliases of a cloud's login host are one authority.
        (
            "https://login.windows.net/contoso.com",
            "entra",
            f"{LOGIN}/contoso.com",
            "contoso.com",
            "public",
        ),
        ("https://login.microsoft.com/Common", "entra", f"{LOGIN}/common", "common", "public"),
        (f"{LOGIN}:443/CONTOSO.com", "entra", f"{LOGIN}/contoso.com", "contoso.com", "public"),
        (
            "https://login.usgovcloudapi.net/x.us",
            "entra",
            "https://login.microsoftonline.us/x.us",
            "x.us",
            "usgov",
        ),
        (
            "https://login.chinacloudapi.cn/x.cn",
            "entra",
            "https://login.partner.microsoftonline.cn/x.cn",
            "x.cn",
            "china",
        ),
        # National clouds and own domains of B2C; own domains of External ID.
        (
            "https://c.b2clogin.us/c.onmicrosoft.us/B2C_1_x",
            "b2c",
            "https://c.b2clogin.us/c.onmicrosoft.us/B2C_1_x",
            "c.onmicrosoft.us",
            "usgov",
        ),
        (
            "https://c.b2clogin.cn/tfp/c.cn/B2C_1_x",
            "b2c",
            "https://c.b2clogin.cn/c.cn/B2C_1_x",
            "c.cn",
            "china",
        ),
        (
            "https://login.contoso.com/c.onmicrosoft.com/B2C_1_x",
            "b2c",
            "https://login.contoso.com/c.onmicrosoft.com/B2C_1_x",
            "c.onmicrosoft.com",
            "public",
        ),
        (
            f"https://login.contoso.com/tfp/{GUID}/b2c_1a_signin/v2.0/",
            "b2c",
            f"https://login.contoso.com/{GUID}/b2c_1a_signin",
            GUID,
            "public",
        ),
        (
            f"https://login.contoso.com/{GUID}/v2.0",
            "entra",
            f"https://login.contoso.com/{GUID}",
            GUID,
            "public",
        ),
        (
            "https://login.contoso.com/C.onmicrosoft.com",
            "entra",
            "https://login.contoso.com/c.onmicrosoft.com",
            "c.onmicrosoft.com",
            "public",
        ),
        (
            "https://id.example/realm/B2C_policy",
            "oidc",
            "https://id.example/realm/B2C_policy",
            "",
            "public",
        ),
        ("https://id.example/tfp/x", "oidc", "https://id.example/tfp/x", "", "public"),
        (
            "https://fs.contoso.com/adfs/v2.0",
            "oidc",
            "https://fs.contoso.com/adfs/v2.0",
            "",
            "public",
        ),
        # Only exact host names are Microsoft's.
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
def test_kind_of_each_address(address: str, kind: str, url: str, tenant: str, cloud: str) -> None:
    found = parse(address)
    assert (found.kind, found.url, found.tenant, found.cloud) == (kind, url, tenant, cloud)
    assert found.microsoft is (kind != "oidc")


def test_dod_shares_usgovs_login_host_and_is_set_by_the_cloud() -> None:
    address = "https://login.microsoftonline.us/common"
    assert parse(address, "dod").cloud == "dod"
    assert parse(address, "public").cloud == "usgov"
    assert parse(f"{LOGIN}/common", "dod").cloud == "public"


@pytest.mark.parametrize(
    "address",
    [
        "http://login.microsoftonline.com/common",
        "http://id.example",
        "HTTP://127.0.0.1.example:8080/realm",
        "http://192.168.0.7/realm",
    ],
)
def test_http_is_rejected(address: str) -> None:
    with pytest.raises(ConfigurationError, match="sent unencrypted") as caught:
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
        f"{LOGIN}/tfp/contoso.onmicrosoft.com/B2C_1_signin",
        f"{LOGIN}/contoso.onmicrosoft.com/B2C_1_signin",
        f"{LOGIN}/../x",
        f"{LOGIN}/con%2ftoso",
        f"{LOGIN}/common/v2.0/.well-known/openid-configuration",
        "https://contoso.b2clogin.com/contoso.onmicrosoft.com",
        "https://contoso.b2clogin.com/",
        "https://contoso.b2clogin.com/a/b/c",
    ],
)
def test_an_invalid_authority_is_rejected_with_an_example(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(address)
    assert caught.value.code == "bad_authority"
    assert "https://" in caught.value.hint
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("cloud", CLOUD_NAMES)
def test_every_cloud_has_its_login_host_and_graph(cloud: str) -> None:
    found = authority_from(resolve({"cloud": cloud}, {}, {}))
    assert found == parse(found.url, cloud)
    assert found.url.startswith(f"https://{CLOUDS[cloud].login_host}/common")
    assert found.graph == CLOUDS[cloud].graph
    assert found.hosts[found.graph.removeprefix("https://")] == found.graph


def test_clouds_do_not_list_each_others_graph() -> None:
    for name, cloud in CLOUDS.items():
        graphs = [host for host in cloud.hosts if "graph" in host]
        assert graphs == [cloud.graph.removeprefix("https://")], name


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, f"{LOGIN}/common"),
        ({"tenant": "contoso.com"}, f"{LOGIN}/contoso.com"),
        ({"tenant": GUID, "cloud": "china"}, f"https://login.partner.microsoftonline.cn/{GUID}"),
        (
            {"authority": "https://id.example", "tenant": "x", "cloud": "usgov"},
            "https://id.example",
        ),
    ],
)
def test_authority_from_settings(settings: dict[str, str], url: str) -> None:
    assert authority_from(resolve(settings, {}, {})).url == url


@pytest.mark.parametrize("tenant", ["a/b", "../x", "a b", "a?b", "a@b", ".com", "a\nb", "a%2fb"])
def test_an_invalid_tenant_is_rejected(tenant: str) -> None:
    with pytest.raises(ConfigurationError, match=r"not a tenant|control character"):
        authority_from(resolve({"tenant": tenant}, {}, {}))


@pytest.mark.parametrize("kind", ["b2c", "external-id", "adfs", "oidc"])
def test_only_entra_has_built_in_api_hosts(kind: str) -> None:
    assert Authority(kind, "https://x.example").hosts == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "prompt", "refused"),
    [
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_signin", "create", True),
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_signin", "login", False),
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_Edit_profile", "login", True),
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_Edit_profile", None, False),
        ("https://login.contoso.com/c.onmicrosoft.com/B2C_1A_ProfileEdit", "none", True),
        ("https://login.contoso.com/c.onmicrosoft.com/B2C_1A_PasswordReset", "login", True),
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_reset", "select_account", True),
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_reset", None, False),
        ("https://contoso.ciamlogin.com", "create", False),
        (f"{LOGIN}/common", "create", False),
        ("https://id.example", "create", False),
        ("https://id.example/edit", "login", False),
        ("https://adfs.contoso.com/adfs", "create", False),
    ],
)
def test_unsupported_prompts_are_rejected(address: str, prompt: str | None, refused: bool) -> None:
    authority = parse(address)
    if not refused:
        authority.refuse_prompt(prompt)
        return
    with pytest.raises(ConfigurationError) as caught:
        authority.refuse_prompt(prompt)
    assert caught.value.code == "bad_prompt"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("HTTP://127.0.0.1:8080/realm/", "http://127.0.0.1:8080/realm"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://keycloak.localhost/realms/dev", "http://keycloak.localhost/realms/dev"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        (
            f"http://localhost/{GUID}/v2.0",
            f"http://localhost/{GUID}/v2.0",
        ),  # MSAL does not accept http
        ("http://localhost/adfs", "http://localhost/adfs"),
    ],
)
def test_a_loopback_issuer_may_use_http(address: str, url: str) -> None:
    assert parse(address) == Authority("oidc", url)


@pytest.mark.parametrize(
    "address",
    [
        "https://id.example/realm/.well-known/openid-configuration",
        "https://id.example/realm/.well-known/oauth-authorization-server",
        "https://id.example/.well-known/oauth-authorization-server/realm",
    ],
)
def test_the_metadatas_address_is_accepted_as_authority(address: str) -> None:
    assert parse(address).url == "https://id.example/realm"


WRITTEN = {
    "metadata_url": "https://id.example/meta",
    "authorization_endpoint": "https://id.example/authorize",
    "token_endpoint": "https://id.example/token",
    "device_authorization_endpoint": "https://id.example/device",
    "userinfo_endpoint": "https://api.example/user",
    "revocation_endpoint": "https://id.example/revoke",
}


def test_endpoints_of_a_profile_are_part_of_its_authority() -> None:
    found = authority_from(resolve({"authority": "https://id.example", **WRITTEN}, {}, {}))
    endpoints = {name: at for name, at in WRITTEN.items() if name != "metadata_url"}
    assert found.metadata_url == WRITTEN["metadata_url"]
    assert dict(found.endpoints) == endpoints
    assert len({found, authority_from(resolve({"authority": found.url, **WRITTEN}, {}, {}))}) == 1
    assert found.described


@pytest.mark.parametrize(
    ("names", "described"),
    [
        (("token_endpoint", "authorization_endpoint"), True),
        (("token_endpoint", "device_authorization_endpoint"), True),
        (("token_endpoint",), False),
        (("authorization_endpoint", "userinfo_endpoint"), False),
    ],
)
def test_sets_of_endpoints_that_need_no_metadata(names: tuple[str, ...], described: bool) -> None:
    settings = {"authority": "https://id.example", **{name: WRITTEN[name] for name in names}}
    assert authority_from(resolve(settings, {}, {})).described is described


@pytest.mark.parametrize("name", WRITTEN)
def test_with_a_metadata_url_an_issuer_with_microsofts_path_is_an_openid_issuer(name: str) -> None:
    """For example Azure AD B2C with a custom domain."""
    issuer = f"https://login.contoso.com/{GUID}/v2.0"
    found = authority_from(resolve({"authority": f"{issuer}/", name: WRITTEN[name]}, {}, {}))
    assert (found.kind, found.url, found.microsoft) == ("oidc", issuer, False)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tenant": "contoso.com"},
        {"authority": f"{LOGIN}/common"},
        {"authority": "https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_signin"},
        {"authority": "https://c.ciamlogin.com"},
    ],
    ids=str,
)
def test_endpoints_cannot_be_set_for_microsofts_authorities(
    settings: dict[str, str], name: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        authority_from(resolve({**settings, name: WRITTEN[name]}, {}, {}))
    assert name in str(refused.value)
    assert "authority" in (refused.value.hint or "")


@pytest.mark.parametrize(
    "settings", [{}, {"authority": f"https://stack.example/{GUID}"}, {"tenant": "contoso.com"}]
)
def test_a_credential_is_accepted_at_microsofts_authorities(settings: dict[str, str]) -> None:
    """A web application's registration has one (F2b)."""
    for name in ("client_secret_from", "client_certificate", "client_assertion_file"):
        given = {**settings, name: "environment"}
        found = authority_from(resolve(given, {}, {}))
        assert found.microsoft
        assert found == authority_from(resolve(settings, {}, {}))


@pytest.mark.parametrize(
    ("address", "of_any", "of_several"),
    [
        (f"{LOGIN}/common", True, True),
        (f"{LOGIN}/Common", True, True),
        (f"{LOGIN}/consumers", True, True),
        (f"{LOGIN}/{CONSUMERS}", True, True),
        (f"{LOGIN}/organizations", False, True),
        ("https://stack.example/common", True, True),
        (f"{LOGIN}/contoso.com", False, False),
        (f"{LOGIN}/{GUID}", False, False),
        ("https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_ropc", False, False),
        ("https://contoso.ciamlogin.com", False, False),
        ("https://adfs.contoso.com/adfs", False, False),
        ("https://id.example/common/x", False, False),
    ],
)
def test_flows_that_need_a_tenant(address: str, of_any: bool, of_several: bool) -> None:
    authority = parse(address)
    if of_any:
        with pytest.raises(FlowUnavailable) as refused:
            authority.refuse_accounts_of_any_tenant("Sign-in with a password")
        assert str(refused.value).startswith("Sign-in with a password is not possible")
        assert (refused.value.code, refused.value.suggested_flow) == ("no_tenant", "device")
    else:
        authority.refuse_accounts_of_any_tenant("Sign-in with a password")
    if of_several:
        with pytest.raises(ConfigurationError, match="needs one tenant"):
            authority.require_one_tenant("Sign-in of an application")
    else:
        authority.require_one_tenant("Sign-in of an application")
