"""Answers as the protocol libraries can read them: no errors, no nulls, lives in whole numbers."""

from __future__ import annotations

import json
import math

import requests

from nbauth.oauth.answers import is_nought, json_in, seconds
from nbauth.oauth.error_catalogue import not_understood, refusal

_LIVES = {"expires_in", "ext_expires_in", "refresh_in", "interval"}
_NOT_FOR_THEM = {"error", "expires_at"}
"""An ``error`` that is none, which they take for one; a time that is read nowhere."""


def legible(response: requests.Response) -> requests.Response:
    """The response, with a body that neither MSAL nor Authlib stumbles over.

    MSAL remembers the last error for the headers of its next request: one that is no plain word
    breaks every later request of the application.

    Raises the provider's error, if it is one, as ``error_catalogue`` has it, and ``SignInError``
    for one that is no JSON object.
    """
    if refused := refusal(response):
        raise refused
    body = json_in(response)
    if not isinstance(body, dict):  # MSAL would write a traceback into the cell
        raise not_understood("it is empty" if body is None else "it is no JSON object")
    told = {
        name: value
        for name, value in body.items()
        if value is not None and name not in _LIVES | _NOT_FOR_THEM
    }
    for name in _LIVES & body.keys():
        if (life := seconds(body[name])) or is_nought(body[name]):
            told[name] = math.ceil(life or 0)
    response._content, response.encoding = json.dumps(told).encode(), "utf-8"
    return response
