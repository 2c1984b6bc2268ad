"""Tab in a magic's line: options, profile names, accounts, known scopes."""

from __future__ import annotations

from typing import Any

from nbauth.core.flow_names import ALL as FLOWS
from nbauth.core.settings_values import PERSISTENCES
from nbauth.kernel.session import Session

OPTIONS = {
    "%login": "--profile --account --quiet --flow --tenant --client-id --authority --prompt"
    " --login-hint --domain-hint --max-age --claims --consent-also --persist --timeout --force"
    " --background --doctor --offline",
    "%logout": "--profile --account --quiet --all --revoke --forget",
    "%token": "--profile --account --quiet --into --str --env --header --show --force-refresh",
    "%accounts": "use drop --profile --account --quiet",
}
GRAPH_SCOPES = (
    "User.Read", "User.ReadBasic.All", "User.Read.All", "Mail.Read", "Mail.Send", "Files.Read",
    "Files.ReadWrite", "Sites.Read.All", "Calendars.Read", "Group.Read.All", "Directory.Read.All",
)  # fmt: skip
PROMPTS = ("select_account", "consent", "login", "create", "none", "unset")


def completions(session: Session, line: str) -> list[str]:
    """What may come at the end of a magic's line."""
    words = line.split()
    magic = words[0] if words else ""
    before = words[-1] if line.endswith(" ") else words[-2] if len(words) > 1 else ""
    users = [account.username for account in session.cache.accounts()]
    after: dict[str, Any] = {
        "--flow": FLOWS,
        "--persist": PERSISTENCES,
        "--prompt": PROMPTS,
        "--account": users,
        "use": users,
        "drop": users,
        "--profile": session.reader.profiles,
    }
    if before in after:
        choices = after[before]
        return list(choices() if callable(choices) else choices)
    known = [scope for token in session.cache.tokens.values() for scope in token.response.scopes]
    scopes = [*GRAPH_SCOPES, *known] if magic in {"%login", "%token"} else []
    return [*OPTIONS.get(magic, "").split(), *dict.fromkeys(scopes)]
