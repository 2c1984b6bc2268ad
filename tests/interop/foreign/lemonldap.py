"""LemonLDAP::NG (Debian): an issuer that ends in a slash, exact redirect URIs, optional HS256.

Its metadata never lists ``offline_access``. It does not change the scopes at a refresh, does
not rotate, and has no revocation endpoint.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.harness import missing
from tests.harness.certificates import Certificates
from tests.harness.ports import free_port
from tests.interop.foreign.front import Front
from tests.interop.foreign.provider import PROVIDERS, Foreign, program, running, two_ports

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = PROVIDERS / "lemonldap"
SHARE = ROOT / "usr" / "share" / "lemonldap-ng"
PERSON = "dwho"  # a user of the demo database; the password is the name
CLIENTS = {"notebooks": "RS256", "notebooks-HS256": "HS256", "notebooks-none": "none"}


@contextmanager
def running_lemonldap(certificates: Certificates, directory: Path) -> Iterator[Foreign]:
    if not SHARE.is_dir():
        missing("lemonldap-ng (run `make setup`)")
    port, behind = two_ports()
    front = Front(port, behind, certificates)
    redirect_uri = f"http://127.0.0.1:{free_port()}/callback"
    _write_configuration(directory, front.url + "/", redirect_uri)
    command = [
        _perl(), str(ROOT / "usr" / "bin" / "starman"), "--workers", "2", "--env", "deployment",
        "--listen", f"127.0.0.1:{behind}", str(SHARE / "portal" / "htdocs" / "index.psgi"),
    ]  # fmt: skip
    ini = str(directory / "lemonldap-ng.ini")
    env = {**os.environ, **_libraries(), "LLNG_DEFAULTCONFFILE": ini}
    with running(command, front, directory / "lemonldap.log", env=env, cwd=directory):
        yield Foreign(
            name="lemonldap",
            front=front,
            issuer=front.url + "/",
            ca_file=str(certificates.ca_file),
            subject=PERSON,
            username=PERSON,
            first="api.read",
            second="api.write",
            token_path="/oauth2/token",
            revocation_path="/oauth2/revoke",
            redirect_uri=redirect_uri,
            unlisted=("offline_access",),
            fills=_fills,
            clicks=_clicks,
            cannot={
                "device": "has a device grant from 2.22 on; Debian 12 has 2.16",
                "password": "lists its grant types without it, even if a client may use it",
                "rotate": "gives the same refresh token until it ends",
                "revoke": "has no revocation endpoint",
            },
        )


def _perl() -> str:
    """The interpreter that was unpacked with it, in case the machine has only a part of perl."""
    own = ROOT / "usr" / "bin" / "perl"
    return str(own) if own.exists() else program("perl")


def _libraries() -> dict[str, str]:
    """The paths of the unpacked packages, which installed packages would find themselves."""
    usr = ROOT / "usr"
    modules = [usr / "share" / "perl5"]
    for pattern in ("lib/*/perl5/*", "share/perl/*", "lib/*/perl/*", "lib/*/perl-base"):
        modules += sorted(path for path in usr.glob(pattern) if path.is_dir())
    shared = sorted({path.parent for path in ROOT.glob("**/lib/*-linux-*/*.so.*")})
    return {
        "PERL5LIB": os.pathsep.join(map(str, modules)),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, shared)),
    }


def _write_configuration(directory: Path, portal: str, redirect_uri: str) -> None:
    for name in ("conf", "sessions/lock", "psessions/lock", "cache"):
        (directory / name).mkdir(parents=True)
    storage = {
        name: {"Directory": str(directory / name), "LockDirectory": str(directory / name / "lock")}
        for name in ("sessions", "psessions")
    }
    private, public = _key_pair()
    configuration: dict[str, Any] = {
        "cfgNum": 1,
        "cfgDate": "1700000000",
        "cfgVersion": "2.16.1",
        "authentication": "Demo",
        "userDB": "Same",
        "passwordDB": "Demo",
        "demoExportedVars": {"cn": "cn", "mail": "mail", "uid": "uid"},
        "portal": portal,
        "domain": "127.0.0.1",
        "cookieName": "lemonldap",
        "securedCookie": 1,
        "whatToTrace": "_whatToTrace",
        "macros": {"_whatToTrace": "lc($_user)"},
        "locationRules": {},
        "captcha": "::Password::Null",  # it would load GD, which Debian only recommends
        "portalDisplayResetPassword": 0,
        "portalDisplayRegister": 0,
        "exportedHeaders": {},
        "globalStorage": "Apache::Session::File",
        "globalStorageOptions": storage["sessions"],
        "persistentStorage": "Apache::Session::File",
        "persistentStorageOptions": storage["psessions"],
        "issuerDBOpenIDConnectActivation": 1,
        "oidcServiceMetaDataIssuer": portal,
        "oidcServicePrivateKeySig": private,
        "oidcServicePublicKeySig": public,
        "oidcServiceKeyIdSig": "one",
        "oidcServiceAllowAuthorizationCodeFlow": 1,
        "oidcRPMetaDataExportedVars": {
            name: {"name": "cn", "email": "mail", "preferred_username": "uid"} for name in CLIENTS
        },
        "oidcRPMetaDataOptions": {
            name: {
                "oidcRPMetaDataOptionsClientID": name,
                "oidcRPMetaDataOptionsClientSecret": "of-no-use-to-public-clients",
                "oidcRPMetaDataOptionsPublic": 1,
                "oidcRPMetaDataOptionsRequirePKCE": 1,
                "oidcRPMetaDataOptionsAllowOffline": 1,
                "oidcRPMetaDataOptionsIDTokenSignAlg": algorithm,
                "oidcRPMetaDataOptionsIDTokenForceClaims": 1,
                "oidcRPMetaDataOptionsRedirectUris": redirect_uri,
            }
            for name, algorithm in CLIENTS.items()
        },
    }
    (directory / "conf" / "lmConf-1.json").write_text(json.dumps(configuration))
    (directory / "lemonldap-ng.ini").write_text(
        "[all]\nlogLevel = warn\n"
        f"[configuration]\ntype = File\ndirName = {directory}/conf\n"
        "localStorage = Cache::FileCache\n"
        f"localStorageOptions = {{'namespace' => 'c', 'cache_root' => '{directory}/cache'}}\n"
        "[portal]\nstaticPrefix = /static\nlanguages = en\n"
        f"templateDir = {SHARE}/portal/templates\n"
    )


def _key_pair() -> tuple[str, str]:
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def _fills(fields: Mapping[str, str], user_code: str) -> dict[str, str] | None:
    if "user" in fields and "password" in fields:
        return {**fields, "user": PERSON, "password": PERSON}
    if "confirm" in fields:
        return dict(fields)
    return None


def _clicks(page: Page, user_code: str) -> None:
    if page.locator("input[name=user]").is_visible():
        page.locator("input[name=user]").fill(PERSON)
        page.locator("input[name=password]").fill(PERSON)
        page.locator("input[name=password]").press("Enter")
        return
    accept = page.locator("button.positive, button[type=submit]")
    if accept.first.is_visible():
        accept.first.click()
