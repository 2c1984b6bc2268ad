"""Reads what a person copied from the browser: an address, its query, or the bare code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import parse_qsl, urlsplit

from nbauth.core.errors import ConfigurationError
from nbauth.core.pages import is_stray_refusal
from nbauth.oauth.error_catalogue import error_from

WHOLE = (
    "Copy the whole address of the last page from the browser's address bar. It begins with http."
)


def handed_in(text: str, state: str) -> dict[str, str]:
    """The parameters of the response to the request with this ``state``.

    Raises ``ConfigurationError`` for anything else and for another sign-in's response, and the
    provider's error for an error response without ``state``. The person can then try again.
    """
    answer = _parameters(text.strip(), state)
    if is_stray_refusal(answer):
        raise error_from(answer)
    if not answer.keys() & {"code", "error"}:
        _refuse_without_answer(text, answer)
    if not answer.get("state"):
        raise ConfigurationError(
            "That address is not complete: its state parameter is missing.",
            code="state_mismatch",
            hint=WHOLE,
        )
    if answer["state"] != state:
        raise ConfigurationError(
            "That address is from another sign-in.",
            code="state_mismatch",
            hint="Open the sign-in page of this sign-in, sign in there, and copy the address of the"
            " last page.",
        )
    return answer


def check_pasted(text: str) -> None:
    """Refuse what a person has pasted for an address and is none, nor the query of one.

    A program may hand in a bare code; a person who pastes one word has copied something else, and
    the provider, asked about it, would end the sign-in. Raises ``ConfigurationError``.
    """
    word = text.strip().strip("<>\"'")
    begins = re.match(r"https?://[^\s/]", word, re.IGNORECASE) is not None
    if not begins and not re.search(r"(?:^|[?&])(?:code|error)=", word):
        raise ConfigurationError(
            "That is not the address of the last page.", code="bad_answer", hint=WHOLE
        )


def _refuse_without_answer(text: str, parameters: Mapping[str, str]) -> NoReturn:
    if parameters.keys() >= {"client_id", "response_type"}:
        raise ConfigurationError(
            "That is the address of the sign-in page.",
            code="bad_answer",
            hint="Sign in there first, then copy the address of the last page.",
        )
    if re.match(r"https?://", text.strip(" \n<>\"'"), re.IGNORECASE):
        raise ConfigurationError(
            "That address contains no response of the provider.", code="bad_answer", hint=WHOLE
        )
    raise ConfigurationError(
        "That is not the address of the last page.", code="bad_answer", hint=WHOLE
    )


def _parameters(text: str, state: str) -> dict[str, str]:
    """The parameters of an address or a query; a bare code gets the state of the request.

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
