"""Normalises responses for the protocol libraries: no errors, no nulls, integer lifetimes."""

from __future__ import annotations

import json
import math

import requests

from nbauth.oauth.answers import is_nought, json_in, seconds
from nbauth.oauth.error_catalogue import not_understood, refusal

_LIVES = {"expires_in", "ext_expires_in", "refresh_in", "interval"}
_NOT_FOR_THEM = {"error", "expires_at"}
"""An empty ``error``, which the libraries would treat as one; a time that nbauth does not use."""


def legible(response: requests.Response) -> requests.Response:
    """The response, with a body that both MSAL and Authlib can parse.

    MSAL puts the last error into a header of its next request; an error that is not a plain word
    would break every later request of the application.

    Raises the error of ``error_catalogue`` for an error response, and ``SignInError`` for a body
    that is not a JSON object.
    """
    if refused := refusal(response):
        raise refused
    body = json_in(response)
    if not isinstance(body, dict):  # MSAL would print a traceback in the cell
        raise not_understood("it is empty" if body is None else "it is not a JSON object")
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
