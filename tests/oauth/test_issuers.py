"""Accepted issuers in the metadata of Microsoft's authorities."""

from __future__ import annotations

from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.oauth.authorities import parse
from nbauth.oauth.issuers import CONSUMERS, check_issuer

GUID = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"
LOGIN = "https://login.microsoftonline.com"
B2C = "https://contoso.b2clogin.com"
CIAM = "https://contoso.ciamlogin.com"
POLICY = f"{B2C}/contoso.onmicrosoft.com/B2C_1_signin"


@pytest.mark.parametrize(
    ("authority", "issuer"),
    [
        (f"{LOGIN}/common", f"{LOGIN}/{{tenantid}}/v2.0"),
        (f"{LOGIN}/organizations", f"{LOGIN}/{{tenantid}}/v2.0"),
        (f"{LOGIN}/consumers", f"{LOGIN}/{CONSUMERS}/v2.0"),
        (f"{LOGIN}/{GUID}", f"{LOGIN}/{GUID}/v2.0"),
        (f"{LOGIN}/{GUID}", f"https://sts.windows.net/{GUID}/"),
        (f"{LOGIN}/{GUID.upper()}", f"{LOGIN}/{GUID}/v2.0"),
        (f"{LOGIN}/contoso.com", f"{LOGIN}/{GUID}/v2.0"),
        (f"{LOGIN}/contoso.us", f"https://login.microsoftonline.us/{GUID}/v2.0"),
        (f"https://sts.windows.net/{GUID}", f"{LOGIN}/{GUID}/v2.0"),
        (f"https://login.microsoft.com/{GUID}", f"{LOGIN}/{GUID}/v2.0"),
        (
            f"https://login.chinacloudapi.cn/{GUID}",
            f"https://login.partner.microsoftonline.cn/{GUID}/v2.0",
        ),
        (f"https://login.chinacloudapi.cn/{GUID}", f"https://sts.chinacloudapi.cn/{GUID}/"),
        (f"https://127.0.0.1:8443/{GUID}", f"https://127.0.0.1:8443/{GUID}/v2.0"),
        (POLICY, f"{B2C}/{GUID}/v2.0/"),
        (POLICY, f"{B2C}/tfp/{GUID}/b2c_1_signin/v2.0/"),
        (POLICY, f"{LOGIN}/{GUID}/v2.0/"),
        (CIAM, f"{CIAM}/{GUID}/v2.0"),
        (CIAM, f"https://{GUID}.ciamlogin.com/{GUID}/v2.0"),
        (f"{CIAM}/{GUID}", f"https://{GUID}.ciamlogin.com/{GUID}/v2.0"),
        (f"https://login.contoso.com/{GUID}", f"https://{GUID}.ciamlogin.com/{GUID}/v2.0"),
        (f"https://127.0.0.1:8443/{GUID}", f"https://{GUID}.ciamlogin.com/{GUID}/v2.0"),
        (
            "https://login.contoso.com/contoso.onmicrosoft.com",
            f"https://{GUID}.ciamlogin.com/{GUID}/v2.0",
        ),
        (
            "https://login.contoso.com/c.onmicrosoft.com/B2C_1_x",
            f"https://login.contoso.com/{GUID}/v2.0/",
        ),
        ("https://fs.contoso.com/adfs", "https://fs.contoso.com/adfs"),
        ("https://fs.contoso.com/adfs", "http://fs.contoso.com/adfs/services/trust"),
        ("https://fs.contoso.com:8443/adfs", "https://fs.contoso.com/adfs"),
    ],
)
def test_accepted_issuers(authority: str, issuer: str) -> None:
    assert check_issuer(parse(authority), issuer) == issuer


@pytest.mark.parametrize(
    ("authority", "issuer"),
    [
        (f"{LOGIN}/common", "https://evil.example/{tenantid}/v2.0"),
        (f"{LOGIN}/common", f"{LOGIN}/{GUID}/v2.0"),
        (f"{LOGIN}/common", f"{LOGIN}.evil.example/{{tenantid}}/v2.0"),
        (f"{LOGIN}/common", "http://login.microsoftonline.com/{tenantid}/v2.0"),
        (f"{LOGIN}/common", "https://a@login.microsoftonline.com/{tenantid}/v2.0"),
        (f"{LOGIN}/common", f"{LOGIN}:8443/{{tenantid}}/v2.0"),
        (f"{LOGIN}/common", f"{LOGIN}:x/{{tenantid}}/v2.0"),
        (f"{LOGIN}/consumers", f"{LOGIN}/{GUID}/v2.0"),
        (f"{LOGIN}/{GUID}", f"{LOGIN}/{OTHER}/v2.0"),
        (f"{LOGIN}/{GUID}", f"{LOGIN}/{{tenantid}}/v2.0"),
        (f"{LOGIN}/{GUID}", f"https://contoso.b2clogin.com/{GUID}/v2.0"),
        (f"{LOGIN}/{GUID}", f"{LOGIN}/{GUID}/v2.0/more"),
        (f"{LOGIN}/contoso.com", f"{LOGIN}/fabrikam.com/v2.0"),
        (f"https://127.0.0.1:8443/{GUID}", f"https://127.0.0.1:8444/{GUID}/v2.0"),
        (f"https://stack.example/{GUID}", f"{LOGIN}/{GUID}/v2.0"),
        (POLICY, f"https://fabrikam.b2clogin.com/{GUID}/v2.0/"),
        (POLICY, f"{B2C}/tfp/{GUID}/b2c_1_edit/v2.0/"),
        (POLICY, f"{B2C}/tfp"),
        (CIAM, f"https://{OTHER}.ciamlogin.com/{GUID}/v2.0"),
        (f"https://login.contoso.com/{GUID}", f"https://{OTHER}.ciamlogin.com/{OTHER}/v2.0"),
        (f"https://login.contoso.com/{GUID}", f"https://{GUID}.ciamlogin.com:8443/{GUID}/v2.0"),
        ("https://login.contoso.com/common", "https://{tenantid}.ciamlogin.com/{tenantid}/v2.0"),
        (
            "https://login.contoso.com/c.onmicrosoft.com/B2C_1_x",
            f"https://other.example/{GUID}/v2.0/",
        ),
        (f"{CIAM}/{GUID}", f"https://{OTHER}.ciamlogin.com/{OTHER}/v2.0"),
        ("https://fs.contoso.com/adfs", "https://fs.fabrikam.com/adfs"),
        ("https://fs.contoso.com/adfs", "https://fs.contoso.com/other"),
        ("https://fs.contoso.com/adfs", "ftp://fs.contoso.com/adfs"),
        *[(f"{LOGIN}/common", wrong) for wrong in ("", None, 5, [LOGIN], "text", "https://[x")],
    ],
)
def test_another_issuer_is_rejected_and_named(authority: str, issuer: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_issuer(parse(authority), issuer)
    assert refused.value.code == "issuer_mismatch"
    assert authority.lower() in str(refused.value).lower()
    if issuer:
        assert str(issuer) in str(refused.value)
