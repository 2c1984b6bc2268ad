"""What the browser shows at the end of a sign-in."""

from __future__ import annotations

from nbauth.core.own_pages import address_in, filled, is_fragment
from nbauth.core.settings import Settings
from nbauth.core.steps import Cancelled, Done, Failed, Shown
from nbauth.core.text import plain


def last_page(end: Shown, settings: Settings) -> tuple[str, str, str]:
    """Title and text; and the fragment or address of the settings, ``""`` if they have none.

    Raises ``TypeError`` for a step that is no end.
    """
    match end:
        case Done():
            title = "You are signed in"
            text = "You can close this tab and return to your notebook or terminal."
            own = settings.success_page or ""
        case Failed(error) | Cancelled(error):
            title, text = "Not signed in", f"{error} You can close this tab."
            values = {"error": plain(error.code), "error_description": plain(error)}
            own = filled(settings.error_page or "", values)
        case _:
            raise TypeError(f"{type(end).__name__} does not end a sign-in")
    if is_fragment(own) or address_in(own):
        return title, text, own
    return title, own or text, ""
