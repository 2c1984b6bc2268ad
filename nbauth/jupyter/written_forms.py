"""The forms in which a secret may be written: as it is, escaped, quoted, in base64."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
"""Texts that no quoting or escaping changes."""
_SCRIPT = {ord(each): f"\\u{ord(each):04x}" for each in "<>&'"}
"""What JSON in a page may not contain."""
SHORTENED = (b"<...>", b"&lt;...&gt;")
"""What stands in the middle of a shortened text, as text and as HTML."""
_PERCENT = re.compile("%[0-9A-F]{2}")


def plain_forms(secret: str) -> list[str]:
    """The forms other than base64, without duplicates."""
    if _PLAIN.fullmatch(secret):
        return [secret]
    quoted = [quote(secret, safe="", errors="replace"), quote(secret, errors="replace")]
    quoted.append(quote_plus(secret, errors="replace"))
    escaped = [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    forms = [
        secret,
        *quoted,
        *(_PERCENT.sub(lambda code: code[0].lower(), text) for text in quoted),
        *escaped,
        *(text.replace("/", "\\/") for text in escaped),
        *(json.dumps(text)[1:-1] for text in escaped),
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        repr(_bytes(secret))[2:-1],
        *(text.translate(_SCRIPT) for text in escaped),
        html.escape(secret),
        html.escape(secret, quote=False),
        html.escape(secret, quote=False).replace('"', "&quot;"),  # in an attribute of XML
        html.escape(secret).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),  # of Jinja
    ]
    return list(dict.fromkeys(forms))


def base64_forms(secret: str) -> list[str]:
    """The parts of a base64 text that depend on the secret only, at each of the three offsets."""
    raw, found = _bytes(secret), []
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        start, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        text = encoded[start:end].decode()
        found += [text, text.translate({ord("+"): "-", ord("/"): "_"})]
    return list(dict.fromkeys(found))


def shortened_forms(secret: str) -> list[str]:
    """What IPython's ``name?`` and ``%whos`` show of a long text: its two ends."""
    forms = []
    for longest, end, gap in ((200, 97, " <...> "), (49, 25, "<...>")):
        if len(secret) > longest:
            forms += [f"{secret[:end]}{mark}{secret[-end:]}" for mark in (gap, html.escape(gap))]
    return forms


def packed(form: str) -> list[bytes]:
    """How a form stands in the bytes of a message: as it is, and as a part of a JSON string."""
    escaped = (json.dumps(form, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True))
    return list(dict.fromkeys(_bytes(text) for text in (form, *escaped)))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
