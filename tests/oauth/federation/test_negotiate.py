"""Kerberos libraries that are absent, and the calls to Windows (without Windows).

Real Kerberos is in ``tests/interop/test_federated.py``.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from nbauth.core.errors import FlowUnavailable, NbAuthError
from nbauth.oauth.federation import negotiate
from nbauth.oauth.federation.negotiate import Negotiation, ticket_principal


@pytest.fixture
def spnego(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for the library."""
    made = ModuleType("spnego")
    monkeypatch.setitem(sys.modules, "spnego", made)
    return made


@pytest.mark.parametrize("missing", ["spnego", "gssapi", "krb5"])
@pytest.mark.parametrize("error", [ImportError, OSError])
def test_each_library_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, missing: str, error: type[Exception]
) -> None:
    class Broken:
        """A library that cannot be loaded, as one without the system's Kerberos."""

        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            if name == missing:
                raise error(name)

    for name in ("spnego", "gssapi", "krb5"):
        if name == missing:
            monkeypatch.delitem(sys.modules, name, raising=False)
        else:
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    for call in (ticket_principal, lambda: Negotiation("https://fs.example")):
        with pytest.raises(FlowUnavailable) as refused:
            call()
        assert refused.value.code == "no_kerberos_library"
        assert "nbauth[kerberos]" in refused.value.hint


@pytest.mark.parametrize("name", ["ada@contoso.com", ""])
def test_the_user_of_windows(
    monkeypatch: pytest.MonkeyPatch, spnego: ModuleType, name: str
) -> None:
    class GetUserNameExW:
        restype: Any = ctypes.c_int

        def __call__(self, kind: int, buffer: Any, size: Any) -> int:
            assert kind == 8, "NameUserPrincipal"
            assert self.restype is ctypes.c_ubyte
            buffer.value = name
            return int(bool(name))

    library = SimpleNamespace(GetUserNameExW=GetUserNameExW())
    monkeypatch.setattr(ctypes, "WinDLL", lambda _: library, raising=False)
    monkeypatch.setattr(negotiate, "sys", SimpleNamespace(platform="win32"))
    if name:
        assert ticket_principal() == name
        return
    with pytest.raises(NbAuthError) as refused:
        ticket_principal()
    assert refused.value.code == "unknown_user"


def test_only_kerberos_for_the_host_of_the_address(
    monkeypatch: pytest.MonkeyPatch, spnego: ModuleType
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(negotiate, "sys", SimpleNamespace(platform="win32"))
    spnego.ContextReq = SimpleNamespace(mutual_auth=2)  # type: ignore[attr-defined]
    spnego.client = lambda **options: asked.append(options)  # type: ignore[attr-defined]
    Negotiation("https://FS.example:8443/adfs/services/trust/13/windowstransport")
    assert asked == [
        {"hostname": "fs.example", "service": "HTTP", "protocol": "kerberos", "context_req": 2}
    ]


def test_a_level_that_was_set_is_kept(monkeypatch: pytest.MonkeyPatch, spnego: ModuleType) -> None:
    monkeypatch.setattr(negotiate, "sys", SimpleNamespace(platform="win32"))
    log = logging.getLogger("spnego")
    for level, then in ((logging.NOTSET, logging.INFO), (logging.DEBUG, logging.DEBUG)):
        monkeypatch.setattr(log, "level", level)
        negotiate._library()
        assert log.level == then


@pytest.mark.parametrize(
    ("header", "checked"),
    [("Negotiate cHJvb2Y=", True), ("negotiate  cHJvb2Y= , NTLM", True), ("Negotiate", False),
     ("NTLM, Negotiate cHJvb2Y=", True), ('Basic realm="a", Negotiate', False), ("", False)],
)  # fmt: skip
def test_the_servers_proof_is_found_among_other_challenges(
    monkeypatch: pytest.MonkeyPatch, header: str, checked: bool
) -> None:
    steps: list[bytes] = []
    context = SimpleNamespace(step=steps.append)
    library = SimpleNamespace(client=lambda **_: context, ContextReq=SimpleNamespace(mutual_auth=1))
    monkeypatch.setattr(negotiate, "_library", lambda: library)
    response: Any = SimpleNamespace(headers={"WWW-Authenticate": header})
    Negotiation("https://fs.example").check(response)
    assert steps == ([b"proof"] if checked else [])
