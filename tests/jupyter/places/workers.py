"""Asks for a token in worker processes, and writes what each of them gets; run as a program.

It is run in a terminal, with the setting attended = true: nothing may be asked there.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from distributed import Client, Scheduler, Worker

import nbauth
from nbauth.core.errors import NbAuthError


def ask(client: dict[str, str]) -> list[str]:
    """The error of a call that needs a person."""
    try:
        nbauth.token("read", timeout=2, **client)  # type: ignore[call-overload]
    except NbAuthError as error:
        return [error.code, *error.lines()]
    return ["a token"]


async def ask_on_the_loop(client: dict[str, str]) -> list[str]:
    """The same, in the main thread of a Dask worker."""
    return ask(client)


CLIENT = {"client_id": "notebooks", "authority": "https://127.0.0.1:9"}


async def on_dask() -> dict[str, list[str]]:
    """As ``dask worker --no-nanny`` in a terminal: the worker is in the process of the command."""
    async with (
        Scheduler(port=0, dashboard=False) as scheduler,
        Worker(scheduler.address, nthreads=1, dashboard=False),
        Client(scheduler.address, asynchronous=True) as client,
    ):
        return {
            "dask": await client.submit(ask_on_the_loop, CLIENT),
            "dask thread": await client.submit(ask, CLIENT),
            "dask, no client": await client.submit(ask, {}),
        }


def main(path: str) -> None:
    """Write the errors to a file."""
    found = {}
    for method in ("spawn", "fork"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            found[method] = pool.submit(ask, CLIENT).result()
    found |= asyncio.run(on_dask())
    with open(path, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main(sys.argv[1])
