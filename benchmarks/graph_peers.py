"""The clients of P7 and P8, each in a process of its own.

``python -m benchmarks.graph_peers NAME`` reads the facts from standard input, then one call a line,
as JSON, and prints a line for each. All clients use the same server over HTTPS connections that are
kept from call to call.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SDK = Path(__file__).resolve().parents[1] / ".providers" / "msgraph-sdk"
MEMBERS = 20


class Nbauth:
    """``nbauth.Graph``, signed in at the demo's provider."""

    def __init__(self, facts: dict[str, str]) -> None:
        import nbauth
        from benchmarks.person import Person

        person = Person(facts["user"], facts["password"])
        nbauth.login("User.Read", web_ui=lambda address: person.approve(address)[1])
        self._graph = nbauth.Graph(base_url=facts["url"])

    def rows(self, top: int | None) -> int:
        return len(list(self._graph.list("users", **({"top": top} if top else {}))))

    def frame(self) -> int:
        return len(self._graph.df("users"))

    def by_id(self, ids: list[str], width: int | None) -> int:
        wide = {"width": width} if width else {}
        items = self._graph.get_many([f"users/{one}" for one in ids], **wide)
        assert [item.body["id"] for item in items if item.ok] == ids
        return len(items)

    def to_frame(self, count: int) -> int:
        from benchmarks.graph_server import user
        from nbauth.msgraph.frames.frame import frame

        return timed_alone(frame, [user(number) for number in range(count)])


class ByHand:
    """A ``requests.Session`` and ``while nextLink``; ``$batch`` by threads."""

    def __init__(self, facts: dict[str, str]) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self._base = f"{facts['url']}/v1.0"
        self._session = requests.Session()
        self._session.mount("https://", HTTPAdapter(pool_maxsize=16))
        self._session.verify = facts["ca_file"]
        self._session.headers["Authorization"] = f"Bearer {facts['token']}"

    def rows(self, top: int) -> int:
        rows: list[Any] = []
        url = f"{self._base}/users?$top={top}"
        while url:
            answer = self._session.get(url, timeout=30)
            answer.raise_for_status()
            page = answer.json()
            rows += page["value"]
            url = page.get("@odata.nextLink")
        return len(rows)

    def by_id_alone(self, ids: list[str]) -> int:
        return len([self._session.get(f"{self._base}/users/{one}").json()["id"] for one in ids])

    def by_id(self, ids: list[str], width: int) -> int:
        found: dict[str, Any] = {}
        with ThreadPoolExecutor(width) as pool:
            left = ids
            while left:
                parts = [left[at : at + MEMBERS] for at in range(0, len(left), MEMBERS)]
                left, wait = [], 0.0
                for one in (one for part in pool.map(self._batch, parts) for one in part):
                    if one["status"] == 429:
                        left.append(one["id"])
                        wait = max(wait, float(one["headers"]["Retry-After"]))
                    else:
                        found[one["id"]] = one["body"]
                time.sleep(wait)
        return len([found[one]["id"] for one in ids])

    def _batch(self, ids: list[str]) -> list[Any]:
        members = [{"id": one, "method": "GET", "url": f"/users/{one}"} for one in ids]
        answer = self._session.post(f"{self._base}/$batch", json={"requests": members}, timeout=30)
        answer.raise_for_status()
        answers: list[Any] = answer.json()["responses"]
        return answers

    def to_frame(self, count: int, how: str) -> int:
        import pandas

        from benchmarks.graph_server import user

        return timed_alone(getattr(pandas, how), [user(number) for number in range(count)])


class Sdk:
    """msgraph-sdk, on one event loop; its own retries."""

    def __init__(self, facts: dict[str, str]) -> None:
        sys.path.append(str(SDK))
        from azure.core.credentials import AccessToken
        from msgraph.graph_service_client import GraphServiceClient

        class Static:
            def get_token(self, *_: str, **__: Any) -> AccessToken:
                return AccessToken(facts["token"], int(time.time()) + 3600)

        self._loop = asyncio.new_event_loop()
        self._client = GraphServiceClient(Static())
        self._client.request_adapter.base_url = f"{facts['url']}/v1.0"

    def page(self) -> int:
        return len(self._loop.run_until_complete(self._first(100)).value)

    def rows(self, top: int) -> int:
        return self._loop.run_until_complete(self._all(top))

    async def _first(self, top: int) -> Any:
        from kiota_abstractions.base_request_configuration import RequestConfiguration
        from msgraph.generated.users.users_request_builder import UsersRequestBuilder

        asked = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(top=top)
        return await self._client.users.get(RequestConfiguration(query_parameters=asked))

    async def _all(self, top: int) -> int:
        page = await self._first(top)
        rows = [*page.value]
        while page.odata_next_link:
            page = await self._client.users.with_url(page.odata_next_link).get()
            rows += page.value
        return len(rows)

    def by_id_alone(self, ids: list[str]) -> int:
        async def one_by_one() -> int:
            return len([await self._client.users.by_user_id(one).get() for one in ids])

        return self._loop.run_until_complete(one_by_one())

    def by_id(self, ids: list[str], width: int) -> int:
        async def together() -> int:
            free = asyncio.Semaphore(width)

            async def one_of(one: str) -> str:
                async with free:
                    return (await self._client.users.by_user_id(one).get()).id

            return len([one for one in await asyncio.gather(*map(one_of, ids)) if one])

        return self._loop.run_until_complete(together())


class O365:
    """O365, without the pause of 200 ms that it makes between two requests by default."""

    def __init__(self, facts: dict[str, str]) -> None:
        from O365 import Account, MSGraphProtocol
        from O365.utils.token import MemoryTokenBackend

        class Local(MSGraphProtocol):
            _protocol_url = f"{facts['url']}/"

        self._account = Account(
            "notebooks",
            auth_flow_type="public",
            protocol=Local(),
            token_backend=MemoryTokenBackend(),
            requests_delay=0,
            verify_ssl=facts["ca_file"],
        )
        session = self._account.con.session = self._account.con.get_session()
        session.headers["Authorization"] = f"Bearer {facts['token']}"

    def page(self) -> int:
        return len([*self._account.directory().get_users(limit=100)])

    def rows(self, top: int) -> int:
        assert top == 999  # it always asks for the largest page
        return len([*self._account.directory().get_users(limit=None)])

    def by_id_alone(self, ids: list[str]) -> int:
        directory = self._account.directory()
        return len([directory.get_user(one).object_id for one in ids])


PEERS = {"nbauth": Nbauth, "requests": ByHand, "msgraph-sdk": Sdk, "O365": O365}


def timed_alone(make: Any, rows: list[Any]) -> int:
    """The median microseconds of one step on rows that are there."""
    from statistics import median

    took = []
    for _ in range(15):
        began = time.perf_counter()
        made = make(rows)
        took.append(time.perf_counter() - began)
        assert len(made) == len(rows)
    return round(median(took) * 1e6)


def main(name: str) -> None:
    """Until standard input ends."""
    lines = iter(sys.stdin.readline, "")
    peer = PEERS[name](json.loads(next(lines)))
    print("{}", flush=True)
    for line in lines:
        call = json.loads(line)
        began, cpu = time.perf_counter(), time.process_time()
        result = getattr(peer, call["what"])(*call["given"])
        took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
        print(json.dumps({**took, "result": result}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
