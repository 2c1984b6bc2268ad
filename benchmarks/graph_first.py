"""A fresh process of P7, from its first line on: ``python -m benchmarks.graph_first WHAT FACTS``.

It prints the seconds as JSON: ``imported`` with the client made, ``page`` at the first page's end.
"""

import time

BEGAN = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

PAGE, LARGEST, ROWS = 100, 999, 100_000
SCOPE = "User.Read"


def stored(facts: dict[str, str]) -> dict[str, float]:
    """The sign-in of nbauth is stored; its key is in a Secret Service."""
    import nbauth

    graph = nbauth.Graph(base_url=facts["url"])
    assert next(graph.list("users", top=PAGE))["id"]
    return {"page": time.perf_counter() - BEGAN}


def in_memory(facts: dict[str, str]) -> dict[str, float]:
    """The sign-in of nbauth is put into its cache, as a sign-in does it."""
    import nbauth
    from nbauth.core.secret import SecretStr
    from nbauth.core.tokens import TokenResponse
    from nbauth.kernel.accounts.signed_in import signed_in_from
    from nbauth.process_session import the_session

    here = the_session()
    client = here.client()
    wanted = client.scopes((SCOPE,))
    token = TokenResponse(
        SecretStr(facts["token"]),
        3600.0,
        (SCOPE,),
        id_token_claims={"oid": "o", "tid": "t", "preferred_username": facts["user"]},
        client_info={"uid": "o", "utid": "t"},
    )
    here.cache.sign_in(signed_in_from(client, token), token, wanted)
    graph = nbauth.Graph(base_url=facts["url"])
    imported = time.perf_counter()
    assert next(graph.list("users", top=PAGE))["id"]
    return {"imported": imported - BEGAN, "page": time.perf_counter() - BEGAN}


def msal(facts: dict[str, str]) -> dict[str, float]:
    """The sign-in is in the plain file of msal-extensions; requests gets the page."""
    import msal
    import msal_extensions
    import requests

    cache = msal_extensions.PersistedTokenCache(msal_extensions.FilePersistence(facts["cache"]))
    app = msal.PublicClientApplication(
        facts["client_id"],
        authority=facts["authority"],
        instance_discovery=False,
        verify=facts["ca_file"],
        token_cache=cache,
    )
    (account,) = app.get_accounts()
    token = app.acquire_token_silent([SCOPE], account)["access_token"]
    assert _page(requests, facts, token) == PAGE
    return {"page": time.perf_counter() - BEGAN}


def by_hand(facts: dict[str, str]) -> dict[str, float]:
    """The token is at hand. msal is imported, which would have got it."""
    import msal
    import requests

    assert msal
    imported = time.perf_counter()
    assert _page(requests, facts, facts["token"]) == PAGE
    return {"imported": imported - BEGAN, "page": time.perf_counter() - BEGAN}


def msgraph_sdk(facts: dict[str, str]) -> dict[str, float]:
    """The token is a string here too."""
    from benchmarks.graph_peers import Sdk

    sdk = Sdk(facts)
    imported = time.perf_counter()
    assert sdk.page() == PAGE
    return {"imported": imported - BEGAN, "page": time.perf_counter() - BEGAN}


def o365(facts: dict[str, str]) -> dict[str, float]:
    """Likewise."""
    from benchmarks.graph_peers import O365

    client = O365(facts)
    imported = time.perf_counter()
    assert client.page() == PAGE
    return {"imported": imported - BEGAN, "page": time.perf_counter() - BEGAN}


def _page(requests: Any, facts: dict[str, str], token: str) -> int:
    answer = requests.Session().get(
        f"{facts['url']}/v1.0/users?$top={PAGE}",
        headers={"Authorization": f"Bearer {token}"},
        verify=facts["ca_file"],
        timeout=30,
    )
    answer.raise_for_status()
    return len(answer.json()["value"])


def sign_in(facts: dict[str, str]) -> dict[str, float]:
    """Store the sign-in of ``nbauth``, and that of ``msal``; not timed."""
    import base64

    import msal
    import msal_extensions

    import nbauth
    from benchmarks.person import Person

    person = Person(facts["user"], facts["password"])
    nbauth.login(SCOPE, web_ui=lambda address: person.approve(address)[1])
    cache = msal.SerializableTokenCache()
    cache.add(
        {
            "client_id": facts["client_id"],
            "scope": [SCOPE],
            "token_endpoint": f"{facts['authority']}/oauth2/v2.0/token",
            "response": {
                "access_token": facts["token"],
                "refresh_token": "r" * 1500,
                "expires_in": 3600,
                "client_info": base64.urlsafe_b64encode(b'{"uid": "o", "utid": "t"}').decode(),
                "id_token_claims": {"oid": "o", "tid": "t", "sub": "s", "iss": facts["issuer"]},
            },
        }
    )
    msal_extensions.FilePersistence(facts["cache"]).save(cache.serialize())
    return {}


def streamed(facts: dict[str, str]) -> dict[str, float]:
    """``tracemalloc``: the most bytes that the rows took while each was read and dropped."""
    import tracemalloc

    import nbauth
    from benchmarks.person import Person

    person = Person(facts["user"], facts["password"])
    nbauth.login(SCOPE, web_ui=lambda address: person.approve(address)[1], persist="memory")
    graph = nbauth.Graph(base_url=facts["url"])
    graph.get("users?$top=1")  # loads the modules
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    count = sum(1 for _ in graph.list("users", top=LARGEST))
    assert count == ROWS, count
    return {"peak": tracemalloc.get_traced_memory()[1] - before}


def one_page(facts: dict[str, str]) -> dict[str, float]:
    """The same of one page, fetched by requests."""
    import tracemalloc

    import requests

    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {facts['token']}"
    session.verify = facts["ca_file"]
    address = f"{facts['url']}/v1.0/users?$top="
    session.get(f"{address}1", timeout=30).json()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    assert len(session.get(f"{address}{LARGEST}", timeout=30).json()["value"]) == LARGEST
    return {"peak": tracemalloc.get_traced_memory()[1] - before}


WHATS: dict[str, Callable[[dict[str, str]], dict[str, float]]] = {
    "stored": stored,
    "nbauth": in_memory,
    "msal": msal,
    "requests": by_hand,
    "msgraph-sdk": msgraph_sdk,
    "O365": o365,
    "sign in": sign_in,
    "streamed": streamed,
    "one page": one_page,
}

if __name__ == "__main__":
    print(json.dumps(WHATS[sys.argv[1]](json.loads(sys.argv[2]))))
