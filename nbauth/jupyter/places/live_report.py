"""The report of ``nbauth doctor --live``, for a public issue: no names and no secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from nbauth.oauth.client import Client
from nbauth.oauth.clouds import CLOUDS, LOGIN_HOSTS

_GUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_EMAIL = re.compile(r"[^\s@,;:<>()\[\]'\"]+@[^\s@,;:<>()\[\]'\"]+")
_ADDRESS = re.compile(r"\bhttps?://[^\s\])>'\"]+")
_LONG = re.compile(r"\beyJ[\w.-]*|[A-Za-z0-9_+/=.-]{60,}|[A-Za-z0-9_+/=.-]{8,}(?=…)")
"""A token, or the beginning of one (or of a name) in a text that was cut at ``…``."""
_KNOWN = frozenset(LOGIN_HOSTS) | {
    str(urlsplit(resource).hostname)
    for cloud in CLOUDS.values()
    for resource in (cloud.graph, *cloud.hosts.values())
}
"""Hosts whose names say nothing about a person or an organisation."""


@dataclass(frozen=True)
class Check:
    """One check: ``ok`` is ``None`` if it does not apply."""

    what: str
    ok: bool | None
    detail: str = ""
    seconds: float = 0.0

    def line(self) -> str:
        """The line of the report."""
        word = {True: "yes", False: "NO", None: "–"}[self.ok]
        took = f" ({self.seconds:.1f} s)" if self.seconds >= 0.1 else ""
        return f"| {self.what} | {word}{took} | {self.detail or ' '} |"


@dataclass
class Report:
    """The checks of each flow, and what is replaced in their texts."""

    header: list[str] = field(default_factory=list)
    flows: dict[str, list[Check]] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether a check has failed."""
        return any(check.ok is False for checks in self.flows.values() for check in checks)

    def hide(self, text: str, name: str) -> None:
        """Replace a text in the whole report by ``<name>``."""
        if len(text) > 2:
            self.hidden.setdefault(text, f"<{name}>")

    def markdown(self) -> str:
        """The report as Markdown."""
        lines = [*self.header]
        for flow, checks in self.flows.items():
            lines += ["", f"**{flow}**", "", "| check | result | detail |", "|---|---|---|"]
            lines += [check.line() for check in checks]
        return self.without_names("\n".join(lines))

    def without_names(self, text: str) -> str:
        """The text without names of people, organisations and applications, and without secrets."""
        for known in sorted(self.hidden, key=len, reverse=True):
            text = re.sub(re.escape(known), self.hidden[known], text, flags=re.IGNORECASE)
        text = _ADDRESS.sub(_address, text)
        text = _EMAIL.sub("<address>", text)
        text = _GUID.sub("<id>", text)
        return _LONG.sub("<long text>", text)


def _address(found: re.Match[str]) -> str:
    try:
        host = urlsplit(found[0]).hostname or ""
    except ValueError:
        host = ""
    return found[0] if host in _KNOWN else "<URL>"


def hide_client(report: Report, client: Client) -> None:
    """Replace what names the application, its tenant or its provider."""
    report.hide(client.client_id, "client id")
    report.hide(client.authority.url, "authority")
    if client.authority.tenant not in {"common", "organizations", "consumers"}:
        report.hide(client.authority.tenant, "tenant")
    host = urlsplit(client.authority.url).hostname or ""
    if host not in _KNOWN:
        report.hide(host, "host")
