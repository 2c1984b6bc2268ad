"""P1: a token that is in the cache, with few accounts and with many."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from statistics import median
from timeit import Timer

import msal

from benchmarks.table import Row
from nbauth.api import config_files
from nbauth.core.secret import SecretStr
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.tokens import TokenResponse
from nbauth.demo.servers import Demo
from nbauth.kernel.accounts.signed_in import signed_in_from
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.no_screen import NoScreen

TENANT = "11111111-2222-3333-4444-555555555555"
SCOPE = "https://graph.microsoft.com/User.Read"
FEW, SOME, MANY = 1, 1_000, 10_000


def measure(demo: Demo) -> list[Row]:
    """All is in the two caches beforehand; MSAL has asked the authority for its metadata."""
    held, asked, asked_of_many, silent, chosen, chosen_of_some = timed_by_turns(
        *ours(demo, FEW), ours(demo, MANY)[1], *theirs(demo, FEW), theirs(demo, SOME)[1]
    )
    alone, both = "MSAL `acquire_token_silent`", "MSAL `get_accounts`, `acquire_token_silent`"
    return [
        Row("P1", "a held `Token`'s text", held, f"{alone}, 1 account", silent, "≤ 0.1"),
        Row("P1", "`acquire`, 1 account", asked, f"{alone}, 1 account", silent, "≤ 0.1"),
        Row("P1", "`acquire`, 1 account", asked, f"{both}, 1 account", chosen, "–"),
        Row(
            "P1", "`acquire`, 10,000 accounts", asked_of_many, f"{both}, 1,000", chosen_of_some, "–"
        ),
        Row(
            "P1",
            "`acquire`, 10,000 accounts",
            asked_of_many,
            "`acquire`, 1 account",
            asked,
            "≤ 1.5",
        ),
    ]


def timed_by_turns(*calls: Callable[[], object]) -> list[float]:
    """Seconds that each takes, the median of nine turns."""
    timers = [Timer(call) for call in calls]
    numbers = [max(1, timer.autorange()[0] // 4) for timer in timers]
    turns = [
        [timer.timeit(number) / number for timer, number in zip(timers, numbers, strict=True)]
        for _ in range(9)
    ]
    return [median(one) for one in zip(*turns, strict=True)]


def ours(demo: Demo, accounts: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Reading a held token, and asking for one, of the last of so many accounts.

    As in a kernel, asking looks at the environment and at ``config.toml`` each time.
    """
    session = Session(SettingsReader(os.environ, config_files), NoScreen())
    session.configure(client_id=demo.client_id, authority=demo.authority)
    client = session.client()
    wanted = client.scopes((SCOPE,))
    for number in range(accounts):
        claims = {"oid": f"o{number}", "tid": TENANT, "preferred_username": f"u{number}@x.example"}
        token = TokenResponse(
            SecretStr("t" * 1500),
            3600.0,
            (SCOPE,),
            refresh_token=SecretStr("r" * 1500),
            id_token_claims=claims,
            client_info={"uid": f"o{number}", "utid": TENANT},
        )
        session.cache.sign_in(signed_in_from(client, token), token, wanted)
    held = session.token(SCOPE, interactive=False)
    return (lambda: held.value), (lambda: session.acquire(SCOPE, interactive=False))


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
