"""The report of ``nbauth doctor --live``, for a public issue: no names and no secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from nbauth.oauth.client import Client
from nbauth.oauth.clouds import CLOUDS, LOGIN_HOSTS

_GUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_WORD = re.compile(r"[^\s,;|<>()'\"`]*[^\s,;|<>()'\"`.:!?…]")
"""A word with its inner punctuation: an address, a path, a host, a scope, or a plain word."""
_HOST = re.compile(
    r"(?:[\w-]+\.)+[^\W\d_]{2,}\.?(?::\d+)?"  # a name with dots
    r"|(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?|\[[\da-f:.]+\](?::\d+)?"  # an IP address
    r"|[\w.-]*[^\W\d][\w.-]*:\d{2,5}",  # any name with a port
    re.IGNORECASE,
)
_SCOPE = re.compile(r"(?:[A-Z][a-z]+[A-Za-z]*\.)+[A-Z][a-z]+[A-Za-z]*")
"""A permission of Microsoft's APIs, such as ``User.Read.All``."""
_KEPT = frozenset(
    {"/v1.0/me", "/v1.0/organization", "config.toml", "application/json", "text/html", "and/or"}
)
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
            whole = r"\b" if len(known) < 4 and known.isalnum() else ""  # else "Ann" in "channel"
            known_text = f"{whole}{re.escape(known)}{whole}"
            text = re.sub(known_text, self.hidden[known], text, flags=re.IGNORECASE)
        text = _WORD.sub(lambda word: _without_name(word[0]), text)
        text = _GUID.sub("<id>", text)
        return _LONG.sub("<long text>", text)


def _without_name(word: str) -> str:
    """The word, or what replaces it if it may name a person, an organisation or their machines."""
    if word in _KEPT or word.lower() in _KNOWN or _SCOPE.fullmatch(word):
        return word
    if word.lower().startswith(("http://", "https://")):
        return _address(word)
    if "@" in word or "%40" in word:
        return "<address>"
    if "://" in word or ":/" in word or word.lower().startswith("urn:"):
        return word if word.startswith("urn:ietf:") else "<URI>"
    if word[0] in "/~" or "\\" in word:
        return "<path>"
    host, slash, _ = word.partition("/")
    if _HOST.fullmatch(host):
        return "<host>"
    return "<path>" if slash else word


def _address(address: str) -> str:
    """The address of a known host, without a path that may have a name."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return "<URL>"
    if host not in _KNOWN:
        return "<URL>"
    path, scope = parts.path, parts.path.strip("/")
    plain = not scope or scope == ".default" or bool(_SCOPE.fullmatch(scope))
    return f"https://{host}{path if plain else '/…'}"


def hide_client(report: Report, client: Client) -> None:
    """Replace what names the application, its tenant or its provider."""
    report.hide(client.client_id, "client id")
    report.hide(client.authority.url, "authority")
    if client.authority.tenant not in {"common", "organizations", "consumers"}:
        report.hide(client.authority.tenant, "tenant")
    host = urlsplit(client.authority.url).hostname or ""
    if host not in _KNOWN:
        report.hide(host, "host")
