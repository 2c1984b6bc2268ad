"""P1: a token that is in the cache, with few accounts and with many."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable

import msal

import nbauth
from benchmarks.table import Row, timed_by_turns
from nbauth import process_session
from nbauth.core.secret import SecretStr
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.tokens import TokenResponse
from nbauth.demo.servers import Demo
from nbauth.kernel.accounts.signed_in import signed_in_from
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.no_screen import NoScreen
from nbauth.process_session import config_files

TENANT = "11111111-2222-3333-4444-555555555555"
SCOPE = "https://graph.microsoft.com/User.Read"
FEW, SOME, MANY = 1, 1_000, 10_000


def measure(demo: Demo) -> list[Row]:
    """Both caches are filled beforehand, and MSAL has fetched the metadata."""
    few, many = Ours(demo, FEW), Ours(demo, MANY)
    held, asked, named, asked_of_many, named_of_many, silent, chosen, chosen_of_some = (
        timed_by_turns(
            lambda: few.held.value, few.acquire, few.acquire_by_name,
            many.acquire, many.acquire_by_name, *theirs(demo, FEW), theirs(demo, SOME)[1],
        )
    )  # fmt: skip
    alone, both = "MSAL `acquire_token_silent`", "MSAL `get_accounts`, `acquire_token_silent`"
    ours, by_name = "`acquire`", "`acquire(account=<name>)`"
    return [
        Row("P1", "a held `Token`'s text", held, f"{alone}, 1 account", silent, "≤ 0.05"),
        Row("P1", f"{ours}, 1 account", asked, f"{alone}, 1 account", silent, "≤ 0.2"),
        Row("P1", f"{by_name}, 1 account", named, f"{both}, 1 account", chosen, "≤ 0.2"),
        Row("P1", f"{by_name}, 10,000", named_of_many, f"{both}, 1,000", chosen_of_some, "–"),
        Row("P1", f"{ours}, 10,000 accounts", asked_of_many, "itself, 1 account", asked, "≤ 1.2"),
        Row("P1", f"{by_name}, 10,000", named_of_many, "itself, 1 account", named, "≤ 1.2"),
    ]


class Ours:
    """The process's session with so many accounts; the last of them is asked for.

    As in a kernel, asking looks at the environment and at ``config.toml`` once a second.
    """

    def __init__(self, demo: Demo, accounts: int) -> None:
        self._session = session = Session(SettingsReader(os.environ, config_files), NoScreen())
        session.configure(client_id=demo.client_id, authority=demo.authority)
        client = session.client()
        wanted = client.scopes((SCOPE,))
        for number in range(accounts):
            who = {"oid": f"o{number}", "tid": TENANT, "preferred_username": f"u{number}@x.example"}
            token = TokenResponse(
                SecretStr("t" * 1500),
                3600.0,
                (SCOPE,),
                refresh_token=SecretStr("r" * 1500),
                id_token_claims=who,
                client_info={"uid": f"o{number}", "utid": TENANT},
            )
            session.cache.sign_in(signed_in_from(client, token), token, wanted)
        self._name = f"u{accounts - 1}@x.example"
        self.held = session.token(SCOPE, interactive=False)

    def make_current(self) -> None:
        """Let the public functions use this session."""
        process_session._session = self._session

    def acquire(self) -> object:
        """The current account's token, by the public function."""
        process_session._session = self._session
        return nbauth.acquire(SCOPE)

    def acquire_by_name(self) -> object:
        """The token of an account that is named."""
        process_session._session = self._session
        return nbauth.acquire(SCOPE, account=self._name)


def theirs(demo: Demo, accounts: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """MSAL's token of the last of so many accounts, without and with looking the account up."""
    app = msal.PublicClientApplication(
        demo.client_id, authority=demo.authority, instance_discovery=False, verify=demo.ca_file
    )
    for number in range(accounts):
        info = json.dumps({"uid": f"o{number}", "utid": TENANT}).encode()
        claims = {"oid": f"o{number}", "tid": TENANT, "preferred_username": f"u{number}@x.example"}
        claims |= {"iss": demo.issuer, "aud": demo.client_id, "sub": f"s{number}"}
        app.token_cache.add(
            {
                "client_id": demo.client_id,
                "scope": [SCOPE],
                "token_endpoint": f"{demo.authority}/oauth2/v2.0/token",
                "response": {
                    "access_token": "t" * 1500,
                    "refresh_token": "r" * 1500,
                    "expires_in": 3600,
                    "client_info": base64.urlsafe_b64encode(info).decode(),
                    "id_token_claims": claims,
                },
            }
        )
    name = f"u{accounts - 1}@x.example"
    (account,) = app.get_accounts(name)
    return (
        lambda: app.acquire_token_silent([SCOPE], account)["access_token"],
        lambda: app.acquire_token_silent([SCOPE], app.get_accounts(name)[0])["access_token"],
    )
