"""The provider's pages. All text is escaped here, and the pages contain only these forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

_STYLE = """
body{margin:0;font:16px/1.5 system-ui,sans-serif;background:#eef1f5;color:#1c2430}
p.local{margin:0;padding:.6rem 1rem;background:#1f3a5f;color:#fff;text-align:center}
main{max-width:26rem;margin:8vh auto;padding:2rem;background:#fff;border-radius:.6rem;
box-shadow:0 1px 8px #0002}
h1{font-size:1.35rem;margin:0 0 1rem}label{display:block;margin:.8rem 0}
input{display:block;box-sizing:border-box;width:100%;padding:.5rem;font:inherit;
border:1px solid #8894a5;border-radius:.3rem}
button{font:inherit;padding:.5rem 1.2rem;margin:1rem .5rem 0 0;border-radius:.3rem;
border:1px solid #1f5fbf;background:#fff;color:#1f5fbf;cursor:pointer}
button.first{background:#1f5fbf;color:#fff}.error{color:#a11212}
:focus-visible{outline:3px solid #e0a100;outline-offset:2px}
@media(prefers-color-scheme:dark){body{background:#12161c;color:#e8ecf2}
main{background:#1d232c}input{background:#12161c;color:inherit}
button{background:#1d232c;color:#8db8ff}.error{color:#ff9a9a}}
"""

_LOCAL = "Local demo - nothing leaves this computer"
_OUTSIDE = "Demo - a test identity provider that runs on the server of your notebook"


@dataclass(frozen=True)
class Page:
    """A whole page; its own style and script are let in by the nonce of its policy."""

    title: str
    body: str
    script: str = ""

    def html(self, nonce: str, *, local: bool) -> str:
        script = f'<script nonce="{escape(nonce)}">{self.script}</script>' if self.script else ""
        return (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(self.title)} - nbauth demo</title>"
            f'<style nonce="{escape(nonce)}">{_STYLE}</style></head><body>'
            f'<p class="local">{_LOCAL if local else _OUTSIDE}</p>'
            f"<main><h1>{escape(self.title)}</h1>{self.body}</main>{script}</body></html>"
        )


def sign_in_page(
    root: str, interaction: str, username: str = "", error: str = "", signed_in_as: str = ""
) -> Page:
    """User name and password; `signed_in_as` adds the account that this browser already has.

    `root` is the relative way to the provider's root, here and below.
    """
    pick = (
        _form(
            f"{root}interaction",
            {"interaction": interaction},
            _buttons(("continue", f"Continue as {signed_in_as}")),
        )
        if signed_in_as
        else ""
    )
    fields = (
        _input("username", "User name", username, focus=not username, autocomplete="username")
        + _input("password", "Password", "", kind="password", focus=bool(username))
        + _buttons(("sign-in", "Sign in"), ("cancel", "Cancel"))
    )
    return Page(
        "Sign in",
        _error(error)
        + pick
        + _form(f"{root}interaction", {"interaction": interaction}, fields)
        + "<p>The terminal in which <code>nbauth demo</code> runs shows the users and their "
        "password. On Binder, the file <code>demo-sign-in.txt</code> shows them.</p>",
    )


def consent_page(
    root: str,
    interaction: str,
    username: str,
    client_name: str,
    scopes: Iterable[str],
    *,
    on_device: bool,
) -> Page:
    """What the application asks for; with a device code also the warning of RFC 8628, 5.4."""
    rows = "".join(f"<li>{escape(scope)}</li>" for scope in scopes)
    warning = (
        "<p>Continue only if you started this sign-in and your own screen shows the code.</p>"
        if on_device
        else ""
    )
    return Page(
        "Permissions requested",
        f"<p><strong>{escape(client_name)}</strong> asks to act for {escape(username)}:</p>"
        f"<ul>{rows}</ul>{warning}"
        + _form(
            f"{root}interaction",
            {"interaction": interaction},
            _buttons(("accept", "Accept"), ("cancel", "Cancel")),
        ),
    )


def device_page(root: str, user_code: str = "", error: str = "") -> Page:
    """Where the code of RFC 8628 section 3.3 is typed in."""
    fields = _input("user_code", "Code", user_code, focus=True) + _buttons(("next", "Next"))
    return Page(
        "Enter code",
        "<p>Enter the code that your notebook shows.</p>"
        + _error(error)
        + _form(f"{root}device", {}, fields),
    )


def message_page(title: str, text: str) -> Page:
    """A page with one sentence: done, declined, or what was wrong with the request."""
    return Page(title, f"<p>{escape(text)}</p>")


def form_post_page(redirect_uri: str, parameters: Mapping[str, str]) -> Page:
    """OAuth 2.0 Form Post Response Mode: a form that sends itself, or has a button without JS."""
    button = f"<noscript>{_buttons(('', 'Continue'))}</noscript>"
    return Page(
        "Signing in",
        _form(redirect_uri, parameters, button),
        script="document.forms[0].submit();",
    )


def _form(action: str, hidden: Mapping[str, str], fields: str) -> str:
    inputs = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in hidden.items()
    )
    return f'<form method="post" action="{escape(action)}">{inputs}{fields}</form>'


def _input(
    name: str,
    label: str,
    value: str,
    *,
    kind: str = "text",
    focus: bool = False,
    autocomplete: str = "off",
) -> str:
    attributes = " autofocus" if focus else ""
    return (
        f'<label>{escape(label)}<input id="{name}" name="{name}" type="{kind}" '
        f'value="{escape(value)}" autocomplete="{autocomplete}" spellcheck="false"'
        f"{attributes}></label>"
    )


def _buttons(*buttons: tuple[str, str]) -> str:
    parts = []
    for position, (action, label) in enumerate(buttons):
        first = ' class="first"' if position == 0 else ""
        named = f' name="action" value="{escape(action)}"' if action else ""
        # Cancel must work with empty fields too: no input here is "required".
        parts.append(f'<button type="submit"{first}{named}>{escape(label)}</button>')
    return "".join(parts)


def _error(text: str) -> str:
    return f'<p class="error" role="alert">{escape(text)}</p>' if text else ""
