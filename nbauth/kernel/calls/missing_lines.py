"""The line about a response that says that a token is not enough."""

from __future__ import annotations

from collections.abc import Iterable

from nbauth.core.scopes import Scopes, short_names
from nbauth.core.text import plain
from nbauth.kernel.calls.missing import Short

NO_PERSON = "An administrator has to grant it to the application."
GRANTED = "The token has it: you may lack a role or a licence at this host."
MOST_SHOWN = 12


def uncovered(host: str) -> str:
    """What to do if the entry of a host does not cover the scope that it names."""
    return (
        f"nbauth does not request it, because the entry of {host} in the setting hosts does not"
        " contain it. If you trust this host with it, add it there, and call nbauth.auth(),"
        " nbauth.session() or nbauth.Graph() again."
    )


def line_for(short: Short, reason: str) -> str:
    """The line: which host refused, and why."""
    return f"{short.host} refused the request ({short.status}). {reason}"


def reason_for(short: Short, has: Iterable[str], missing: Scopes | None, do: str) -> str:
    """What the token has, what is probably missing (``None`` if unknown), what to do."""
    names = [plain(name) for name in short_names(has)]
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    scopes = ", ".join(names[:MOST_SHOWN]) or "no scopes"
    first = f"The token has {scopes}{more}."
    if missing is None:
        return (
            f"{first} The response does not name a scope that nbauth can request. The"
            " documentation of the API says which one the call needs."
        )
    needed = ", ".join(plain(name) for name in short_names(missing.resource_scopes))
    likely = f"{short.host} requires {needed}." if do == GRANTED else f"It probably lacks {needed}."
    return f"{first} {likely} {do}"
