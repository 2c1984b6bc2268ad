"""URLs that look like those of listed hosts, and a reader of where a request really goes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

EVIL = "evil.example"
EXACT = {
    ("graph.microsoft.com", 443): "graph",
    ("management.azure.com", 443): "management",
    ("api.contoso.com", 443): "app",
    ("other.contoso.com", 8443): "other",
    ("fd00::7", 443): "six",
}
"""Host and port of each listed host, and whose token it gets."""
SUFFIXES = {
    ".blob.core.windows.net": "storage",
    ".vault.azure.net": "vault",
    ".database.windows.net": "database",
}
"""One label before each, at the port 443."""
SETTING = {
    "api.contoso.com": ["api://app/read"],
    "other.contoso.com:8443": ["api://other/.default"],
    "[fd00::7]": ["api://six/read"],
}
BASES = [
    "graph.microsoft.com",
    "management.azure.com",
    "api.contoso.com",
    "other.contoso.com:8443",
    "[fd00::7]",
    "account1.blob.core.windows.net",
    "kv-1.vault.azure.net",
    "sql.database.windows.net",
]


class Dialled(NamedTuple):
    """Where a request goes: what the HTTP library connects to."""

    scheme: str
    host: str
    port: int

    @property
    def whose(self) -> str | None:
        """Whose token it may get. Written without nbauth's own code."""
        host = self.host.strip("[]").lower()
        if self.scheme != "https":
            return None
        if (host, self.port) in EXACT:
            return EXACT[host, self.port]
        label, dot, rest = host.partition(".")
        plain = label.isascii() and label.replace("-", "").replace("_", "").isalnum()
        return SUFFIXES.get(dot + rest) if plain and self.port == 443 else None


Mutation = Callable[[str, random.Random], str]
"""Makes an authority (host and port) another one; the result may have a path."""

LOOK_ALIKES = str.maketrans({
    "a": "\u0430", "c": "\u0441", "e": "\u0435", "o": "\u043e", "p": "\u0440", "x": "\u0445",
    "k": "\N{KELVIN SIGN}", "s": "\N{LATIN SMALL LETTER LONG S}",
})  # fmt: skip
FULL_WIDTH = str.maketrans({chr(n): chr(n + 0xFEE0) for n in range(0x21, 0x7F)})
DOTS = "\u3002\uff0e\uff61\u2024\u00b7"
BLANK = "\u00ad\u200b\u200d\u2060\ufeff\u180e\u034f"


def _somewhere(text: str, inserted: str, source: random.Random) -> str:
    at = source.randrange(len(text) + 1)
    return text[:at] + inserted + text[at:]


def _one_letter(text: str, table: dict[int, str], source: random.Random) -> str:
    at = source.choice([n for n, letter in enumerate(text) if ord(letter) in table] or [0])
    return text[:at] + text[at].translate(table) + text[at + 1 :]


def _name(authority: str) -> str:
    """The authority without its port."""
    return authority if authority.endswith("]") else authority.partition(":")[0]


HOSTILE: list[Mutation] = [
    lambda a, r: a,  # with another scheme
    lambda a, r: f"{_name(a)}:443",
    lambda a, r: f"{_name(a)}.{EVIL}",
    lambda a, r: f"{_name(a)}{EVIL}",
    lambda a, r: f"evil{a}",
    lambda a, r: f"not{a}",
    lambda a, r: f"x.{a}",
    lambda a, r: f"-{a}",
    lambda a, r: f".{a}",
    lambda a, r: f"{a}@{EVIL}",
    lambda a, r: f"{EVIL}@{a}",
    lambda a, r: f"user:pw@{a}",
    lambda a, r: f"@{a}",
    lambda a, r: f"{a}:443@{EVIL}",
    lambda a, r: f"{a}%40{EVIL}",
    lambda a, r: f"{a}\\@{EVIL}",
    lambda a, r: f"{EVIL}\\@{a}",
    lambda a, r: f"{a}\\.{EVIL}",
    lambda a, r: f"\\{a}",
    lambda a, r: f"\\\\{a}",
    lambda a, r: f"/{a}",
    lambda a, r: f"{EVIL}/{a}",
    lambda a, r: f"{EVIL}#@{a}",
    lambda a, r: f"{EVIL}?@{a}",
    lambda a, r: f"{EVIL};{a}",
    lambda a, r: f"{EVIL}%2f{a}",
    lambda a, r: f"{EVIL}%5c{a}",
    lambda a, r: f"{EVIL}:443#@{a}",
    lambda a, r: a.replace(".", "%2e"),
    lambda a, r: a.replace(".", "%2E", 1),
    lambda a, r: "".join(f"%{ord(letter):02x}" for letter in _name(a)),
    lambda a, r: f"{_name(a)}%00.{EVIL}",
    lambda a, r: f"{_name(a)}\x00.{EVIL}",
    lambda a, r: f"{_name(a)}.",
    lambda a, r: f"{_name(a)}..",
    lambda a, r: f"{_name(a)}:8443",
    lambda a, r: f"{_name(a)}:80",
    lambda a, r: f"{_name(a)}:0",
    lambda a, r: f"{_name(a)}:65979",
    lambda a, r: f"{_name(a)}:443{r.choice('x/.@:')}{EVIL}",
    lambda a, r: f"{_name(a)}:+443",
    lambda a, r: f"{_name(a)}:{'443'.translate(FULL_WIDTH)}",
    lambda a, r: f"{_name(a)}:443:443",
    lambda a, r: _somewhere(a, r.choice("\t\n\r\x00\x0b\x1f \x7f"), r),
    lambda a, r: _somewhere(a, r.choice(BLANK), r),
    lambda a, r: _somewhere(a, r.choice("%/\\@?#&;,|^`<>{}\"'~!$()*+="), r),
    lambda a, r: _one_letter(a, LOOK_ALIKES, r),
    lambda a, r: a.translate(FULL_WIDTH),
    lambda a, r: _one_letter(a, FULL_WIDTH, r),
    lambda a, r: a.replace(".", r.choice(DOTS)),
    lambda a, r: a.replace(".", r.choice(DOTS), 1),
    lambda a, r: f"xn--{a}",
    lambda a, r: f"xn--{_name(a)}-9ua.{EVIL}",
    lambda a, r: f"[{a}]",
    lambda a, r: f"[{a}",
    lambda a, r: f"[::1]{a}",
    lambda a, r: "[::ffff:7f00:1]",
    lambda a, r: f"[fe80::1%25{_name(a)}]",
    lambda a, r: "[fd00:0:0:0:0:0:0:8]",
    lambda a, r: "2130706433",
    lambda a, r: "0x7f.1",
    lambda a, r: a[: r.randrange(len(a)) + 1],
    lambda a, r: a[r.randrange(len(a)) :],
    lambda a, r: f"{a}\u2044.{EVIL}",
    lambda a, r: f"{a},{EVIL}",
    lambda a, r: f"a.b{a[a.find('.') :]}",
]
SCHEMES = ["https://"] * 24 + [
    "http://", "HTTPS://", "HtTps://", "ftp://", "https:", "https:/", "https:///", "https:\\\\",
    "https:/\\", "https:\\/", "//", "", "wss://", "https+http://", "\thttps://", " https://",
    "https\t://", "javascript:https://",
]  # fmt: skip
PATHS = [
    "", "/", "/v1.0/me", "/me?$select=id", "/a@b", "/users/a@b.example?q=@", "/#x", "#x", "?x=1",
    f"/?next=https://{EVIL}/", f"/@{EVIL}", "//x", "/..", "/%2e%2e/", "/\u00fc", "/a b", "/a;b",
    "/a:8443", "/%00", "/?x=#@y", "/[x]", "/%5c",
]  # fmt: skip
KIND: list[Mutation] = [
    lambda a, r: a,
    lambda a, r: a.upper(),
    lambda a, r: "".join(r.choice([letter.upper(), letter]) for letter in a),
    lambda a, r: a if a.endswith("8443") else f"{a}:443",
    lambda a, r: a if a.endswith("8443") else f"{a}:",
]
"""Other spellings of the same host."""


def hostile_url(source: random.Random) -> str:
    """A URL that may go anywhere."""
    authority = source.choice(BASES)
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        authority = source.choice(HOSTILE)(authority, source) or "x"
    return source.choice(SCHEMES) + authority + source.choice(PATHS)


def each_once(source: random.Random) -> list[str]:
    """Each scheme with each host, and each mutation once."""
    schemes = [scheme + base + "/" for scheme in dict.fromkeys(SCHEMES) for base in BASES]
    bases = [(mutation, source.choice(BASES)) for mutation in HOSTILE]
    return schemes + [f"https://{mutation(base, source)}/" for mutation, base in bases]


def listed_url(source: random.Random) -> str:
    """A URL of a listed host, in any spelling."""
    authority = source.choice(KIND)(source.choice(BASES), source)
    return source.choice(["https://"] * 3 + ["HTTPS://"]) + authority + source.choice(PATHS)
