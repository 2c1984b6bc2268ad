"""What a person brings back from the browser: an address, its query, or the bare code."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from nbauth.core.errors import ConfigurationError
from nbauth.core.pages import is_stray_refusal
from nbauth.oauth.error_catalogue import error_from


def handed_in(text: str, state: str) -> dict[str, str]:
    """The parameters of the answer to the request with this ``state``.

    Raises ``ConfigurationError`` for what is no answer, or another sign-in's, and the provider's
    own error for a refusal without ``state``; the person can then hand in another address.
    """
    answer = _parameters(text.strip(), state)
    if is_stray_refusal(answer):
        raise error_from(answer)
    if not answer.keys() & {"code", "error"}:
        raise ConfigurationError(
            "That address carries no answer of the provider.",
            code="bad_answer",
            hint="Copy the whole address at which the browser ended, from http on.",
        )
    if answer.get("state") != state:
        raise ConfigurationError(
            "That address belongs to another sign-in.",
            code="state_mismatch",
            hint="Copy the address of the page that this sign-in opened.",
        )
    return answer


def _parameters(text: str, state: str) -> dict[str, str]:
    """Those in an address or its query; a bare code gets the state that it was asked with.

    An address may lack its scheme, which browsers hide, and be in quotes or angle brackets.
    """
    if "?" in text:
        text = text.strip("<>\"'")
    try:
        address = text if "://" in text.partition("?")[0] else f"//{text}"
        pairs = parse_qsl(urlsplit(address).query or text.lstrip("?"))
    except ValueError:
        return {}
    code = text.rstrip("=")  # some codes are base64
    if code and "=" not in code and "://" not in code and not any(c.isspace() for c in code):
        return {"code": text, "state": state}
    answer = dict(pairs)
    return answer if len(answer) == len(pairs) else {}
