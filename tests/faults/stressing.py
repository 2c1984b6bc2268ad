"""Everything at once: ``python -m tests.faults.stressing SECONDS [SEED]``.

Threads sign in and out, switch accounts and clients, configure, refresh, read what they hold and
call hosts; a process is forked now and then, and the main thread is interrupted. Every token that
somebody gets is checked. Prints one line of JSON; a call that does not end within :data:`PATIENCE`
ends the program with all stacks on stderr.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import logging
import os
import pkgutil
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakSet

import nbauth
from nbauth import process_session
from nbauth.kernel.session import Session
from nbauth.oauth.flows import device_code
from nbauth.testing.screen import RecordingScreen
from tests.faults.acts import Acts
from tests.faults.equal_names import PROVIDERS, World, authority_of

THREADS = 8
PATIENCE = 60.0
SWITCH_EVERY = 1e-5
"""Thread switch interval in seconds: short, so that threads interleave."""
PROFILES = "".join(
    f'[profiles.{name}]\nauthority = "{authority_of(name)}"\nclient_id = "notebooks"\n'
    f"[profiles.{name}.hosts]\n"
    + "".join(f'"{word}.{name}-api.example" = ["{word}"]\n' for word in ("read", "write"))
    for name in PROVIDERS
)


class Screens(RecordingScreen):
    """A screen with a user present, which records only the sign-ins."""

    def __init__(self) -> None:
        super().__init__()
        self.sign_ins: WeakSet[Any] = WeakSet()

    def serve(self, session: Session) -> None:
        pass

    def forked(self) -> None:
        self.is_attended = False

    def show(self, sign_in: Any) -> None:
        self.sign_ins.add(sign_in)

    def say(self, text: str) -> None:
        pass


class Stress(Acts):
    """One run.

    Attributes:
        done: the number of runs of each action.
        interrupts: how often the main thread was interrupted.
    """

    def __init__(self, session: Session, world: World, screen: Screens, seed: int) -> None:
        super().__init__(session, world)
        self.screen = screen
        self.seed = seed
        self.done: Counter[str] = Counter()
        self.interrupts = 0
        self.armed = False
        self.under_way: dict[int, tuple[str, float]] = {}
        self.ends_at = 0.0

    def work(self, number: int) -> None:
        """The loop of one thread."""
        rng = random.Random(self.seed * 1000 + number)
        acts = [
            *[self.login] * 6, self.login_as_another, *[self.login_by_device] * 3,
            self.login_by_browser, self.login_in_the_background, *[self.acquire] * 20,
            *[self.hold] * 6, *[self.read_held] * 40, *[self.logout] * 4, *[self.use] * 4,
            *[self.configure] * 2, *[self.look_around] * 3,
        ]  # fmt: skip
        while time.monotonic() < self.ends_at:
            act = rng.choice(acts)
            self.under_way[number] = act.__name__, time.monotonic()
            with self.told(act.__name__):
                act(rng)
            self.done[act.__name__] += 1
        self.under_way.pop(number, None)

    def watch(self) -> None:
        """Exit if a call does not return."""
        while True:
            time.sleep(1)
            for act, began in list(self.under_way.values()):
                if time.monotonic() - began > PATIENCE:
                    print(f"{act} hangs", file=sys.stderr, flush=True)
                    faulthandler.dump_traceback(all_threads=True)
                    os._exit(3)

    def fork_now_and_then(self) -> None:
        """Time-based, so that even the shortest run has a fork."""
        rng = random.Random(self.seed)
        while time.monotonic() < self.ends_at:
            time.sleep(rng.uniform(0.2, 0.8))
            self.under_way[THREADS] = "fork", time.monotonic()
            self.fork(rng)
            self.done["fork"] += 1
        self.under_way.pop(THREADS, None)

    def interrupt(self) -> None:
        """Interrupt the main thread now and then."""
        while time.monotonic() < self.ends_at - 0.5:
            time.sleep(random.uniform(0.1, 0.5))
            self.interrupts += 1
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def on_interrupt(self, *_: object) -> None:
        """Raise as Python does, except in the lines of the loop itself."""
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def run(self, seconds: float) -> None:
        """Run for this time, in the main thread too."""
        self.ends_at = time.monotonic() + seconds
        signal.signal(signal.SIGINT, self.on_interrupt)
        threads = [threading.Thread(target=self.work, args=(n,)) for n in range(1, THREADS)]
        threads.append(threading.Thread(target=self.fork_now_and_then))
        threading.Thread(target=self.watch, daemon=True).start()
        interrupts = threading.Thread(target=self.interrupt)
        for thread in [*threads, interrupts]:
            thread.start()
        while time.monotonic() < self.ends_at or interrupts.is_alive():
            try:
                self.armed = True
                self.work(0)
                interrupts.join()
            except KeyboardInterrupt:
                self.seed += 1
        self.armed = False
        self.under_way[0] = "the end", time.monotonic()
        for thread in threads:
            thread.join()


def sockets_and_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def left(stress: Stress) -> dict[str, Any]:
    """What is left at the end."""
    session = stress.session
    session.logout(all=True)
    session.rest()
    stress.held.clear()
    for thread in stress.world.visits:
        thread.join(PATIENCE)
    end = time.monotonic() + 10
    while time.monotonic() < end and _threads():
        time.sleep(0.05)
    gc.collect()
    sign_ins = list(stress.screen.sign_ins)
    observers = len(session.changed) + sum(len(sign_in.changed) for sign_in in sign_ins)
    del sign_ins
    gc.collect()
    flights = session._renewal._flights
    return {
        "threads": _threads(),
        "observers": observers,
        "attempts": len(session._attempts._known),
        "sign_ins": len(list(stress.screen.sign_ins)),  # len() counts what an interrupt left
        "flights": len(flights._under_way),
        "turns": session._account_locks.held(),
        "accounts": len(session.cache.signed_in),
        "tokens": len(session.cache.tokens) + len(session.cache.current),
    }


def _threads() -> list[str]:
    """Running threads; a thread whose start was interrupted is listed for ever."""
    running = [thread for thread in threading.enumerate() if thread.is_alive()]
    return [thread.name for thread in running if thread.name.startswith("nbauth-")]


def load_all() -> None:
    """Import lazily imported modules, and make logging cache each logger's level.

    An interrupt between two bytecodes of logging leaves its one lock locked (Python 3.11: it is
    taken before the try): both take it, and what is tried here are nbauth's own lines.
    """
    for module in pkgutil.walk_packages(nbauth.__path__, "nbauth."):
        if not module.name.startswith(("nbauth.demo", "nbauth.jupyter", "nbauth.__main__")):
            importlib.import_module(module.name)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).isEnabledFor(logging.DEBUG)


def main(seconds: str, seed: str = "1") -> None:
    """See the module."""
    load_all()
    device_code.SHORTEST_INTERVAL = 0.005
    sys.setswitchinterval(SWITCH_EVERY)
    random.seed(int(seed))
    world, screen = World(), Screens()
    with TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        (Path(folder) / "nbauth").mkdir()
        (Path(folder) / "nbauth" / "config.toml").write_text(PROFILES)
        process_session.new_session(screen, world.make)
        session = process_session.the_session()
        # Every sign-in gets a browser, since another call may change its flow.
        session.configure(profile="work", open_browser=world.visit)
        session.login("read", web_ui=world.people["work0"])
        session.logout(all=True)
        before = sockets_and_files()
        stress = Stress(session, world, screen, int(seed))
        stress.run(float(seconds))
        remains = left(stress)
        remains["files"] = sockets_and_files() - before
    providers = world.providers.values()
    figures = {
        "seconds": float(seconds),
        "calls": sum(stress.done.values()),
        "checked": stress.checked,
        "refreshes": sum(provider.refreshes for provider in providers),
        "interrupts": stress.interrupts,
        "done": dict(stress.done),
        "errors": dict(stress.refused),
        "wrong": stress.wrong[:20],
        "unexpected": stress.unexpected[:20],
        "reused": [token for provider in providers for token in provider.reused],
        "left": remains,
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
