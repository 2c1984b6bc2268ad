"""A Graph for the benchmarks: HTTPS on loopback, in a process of its own.

The responses are made beforehand, so that only the clients are timed: users with eleven fields,
pages of ``$top`` (100 by default, 999 at most), one user by id, ``$batch``. Each response is sent
after the latency, that of a batch after twice the latency, because its members take time too.
Commands are lines of JSON on standard input; for each, it prints a line.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
PAGE, LARGEST, BATCH = 100, 999, 20
RETRY_AFTER = 1


def user(number: int) -> dict[str, Any]:
    """The eleven fields that Graph gives of a user by default."""
    return {
        "businessPhones": [f"+1 425 555 {number % 10_000:04d}"],
        "displayName": f"Person Number {number}",
        "givenName": "Person",
        "jobTitle": "Senior Analyst",
        "mail": f"person{number}@contoso.example",
        "mobilePhone": None,
        "officeLocation": f"12/{number % 9_999}",
        "preferredLanguage": "en-US",
        "surname": f"Number {number}",
        "userPrincipalName": f"person{number}@contoso.example",
        "id": identifier(number),
    }


def identifier(number: int) -> str:
    """The id of a user."""
    return f"6ea91a8d-e32e-41a1-b7bd-{number:012d}"


class Server:
    """The running server; leave the ``with`` block to end it."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "benchmarks.graph_server", cert_file, key_file],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = f"https://127.0.0.1:{self._line()['port']}"

    def set(self, *, rows: int = 0, latency: float = 0.0, refuse: int = 0) -> None:
        """The length of the list, the seconds before each answer, and which users are refused once.

        With ``refuse=10``, each tenth user is refused. All counts begin again.
        """
        self._ask({"rows": rows, "latency": latency, "refuse": refuse})

    def counts(self) -> dict[str, int]:
        """``calls`` and ``refused`` since the last ``set``."""
        counted: dict[str, int] = self._ask({})
        return counted

    def _ask(self, command: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the benchmark's Graph ended with {self._process.wait(10)}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()  # it ends when its input does
        self._process.wait(10)
        self._process.stdout.close()


class Contents:
    """What is answered: the users as JSON, and the pages of those sizes that were asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.latency = 0.0
        self._rows = self._refuse = self.calls = 0
        self._refused: set[str] = set()
        self._users: list[bytes] = []
        self._numbers: dict[str, int] = {}
        self._pages: dict[tuple[int, int, int], bytes] = {}

    def order(self, command: dict[str, Any]) -> dict[str, int]:
        """Carry out one line of standard input."""
        counted = {"calls": self.calls, "refused": len(self._refused)}
        if command:
            self._rows, self.latency = command["rows"], command["latency"]
            self._refuse, self.calls, self._refused = command["refuse"], 0, set()
            for number in range(len(self._users), self._rows):
                self._users.append(json.dumps(user(number)).encode())
                self._numbers[identifier(number)] = number
            for top in (PAGE, LARGEST):
                for start in range(0, self._rows, top):
                    self._page(start, top)
        return counted

    def answer(self, method: bytes, target: str, body: bytes) -> bytes:
        """The whole answer to one request."""
        self.calls += 1
        path, _, query = target.partition("?")
        path = path.removeprefix("/v1.0")
        if method == b"POST" and path == "/$batch":
            return self._batch(body)
        if method == b"GET" and path == "/users":
            options = dict(pair.split("=", 1) for pair in query.split("&") if pair)
            options = {name.replace("%24", "$"): value for name, value in options.items()}
            top = min(int(options.get("$top", PAGE)), LARGEST)
            return self._page(int(options.get("$skiptoken", 0)), top)
        status, text = self._one(path)
        more = f"Retry-After: {RETRY_AFTER}\r\n" if status == 429 else ""
        return response(status, text, more)

    def _page(self, start: int, top: int) -> bytes:
        """One page, from the second time on as it is."""
        key = start, top, self._rows
        if key not in self._pages:
            end = min(start + top, self._rows)
            link = f'"@odata.nextLink":"{self.url}/v1.0/users?$top={top}&$skiptoken={end}",'
            rows = b",".join(self._users[start:end])
            head = f'{{"@odata.context":"{self.url}/v1.0/$metadata#users",'
            head += link if end < self._rows else ""
            self._pages[key] = response(200, head.encode() + b'"value":[' + rows + b"]}")
        return self._pages[key]

    def _one(self, path: str) -> tuple[int, bytes]:
        """Status and body of one user."""
        name = path.removeprefix("/users/")
        number = self._numbers.get(name)
        if number is None:
            return 404, error("Request_ResourceNotFound")
        if self._refuse and number % self._refuse == 0 and name not in self._refused:
            self._refused.add(name)
            return 429, error("TooManyRequests")
        return 200, self._users[number]

    def _batch(self, body: bytes) -> bytes:
        """The members' answers in reverse: a real Graph keeps no order either."""
        members = json.loads(body)["requests"]
        if len(members) > BATCH:
            return response(400, error("BadRequest"))
        answers = []
        for member in reversed(members):
            status, text = self._one(member["url"])
            headers = '"Content-Type":"application/json"'
            if status == 429:
                headers += f',"Retry-After":"{RETRY_AFTER}"'
            head = f'{{"id":{json.dumps(member["id"])},"status":{status},"headers":{{{headers}}},'
            answers.append(head.encode() + b'"body":' + text + b"}")
        return response(200, b'{"responses":[' + b",".join(answers) + b"]}")


def error(code: str) -> bytes:
    """An error as Graph words it."""
    return json.dumps({"error": {"code": code, "message": code}}).encode()


def response(status: int, body: bytes, more: str = "") -> bytes:
    """Head and body."""
    head = (
        f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nrequest-id: {'0' * 32}\r\n"
        f"{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One kept connection; a client sends the next request after the last one's answer."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._seen = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while b"\r\n\r\n" in self._seen:
            head, _, rest = self._seen.partition(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            fields = dict(line.lower().split(b":", 1) for line in lines)
            length = int(fields.get(b"content-length", b"0"))
            if len(rest) < length:
                return
            body, self._seen = rest[:length], rest[length:]
            method, target, _ = first.split(b" ")
            if not fields.get(b"authorization", b"").strip().startswith(b"bearer "):
                self._send(response(401, error("InvalidAuthenticationToken")))
                continue
            answer = self._contents.answer(method, target.decode(), body)
            delay = self._contents.latency * (2 if target.endswith(b"/$batch") else 1)
            asyncio.get_running_loop().call_later(delay, self._send, answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(cert_file: str, key_file: str) -> None:
    """Until standard input ends."""
    contents = Contents()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert_file, key_file)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(contents), "127.0.0.1", 0, ssl=context, backlog=128
    )
    port = server.sockets[0].getsockname()[1]
    contents.url = f"https://127.0.0.1:{port}"
    say({"port": port})
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop.add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.readline()))
    while line := await lines.get():
        say(contents.order(json.loads(line)))
    server.close()


def say(answer: dict[str, int]) -> None:
    """One line of standard output."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
