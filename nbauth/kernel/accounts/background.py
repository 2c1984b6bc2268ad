"""Work between cells: a thread that checks at intervals and refreshes tokens ahead of need."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from nbauth.core.errors import AuthorityUnreachable
from nbauth.core.interrupts import Flag, join, true_interrupts
from nbauth.core.log import trail
from nbauth.core.tokens import refresh_margin
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.renewal import Renewal
from nbauth.kernel.accounts.token_table import TokenKey

log = logging.getLogger(__name__)
LONGEST_NAP = 30.0
"""Seconds between checks of the clock, which jumps forward when a machine wakes from sleep."""
FIRST_RETRY, LONGEST_RETRY = 5.0, 300.0


class Background:
    """Calls ``tick`` in a daemon thread, again after the seconds it returns, until it is ``None``.

    A tick that fails is logged and tried again after :data:`LONGEST_NAP`.

    Args:
        name: of the thread.
        tick: does what is due.
    """

    def __init__(self, name: str, tick: Callable[[], float | None]) -> None:
        self._name = name
        self._tick = tick
        self._wake = Flag()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def wake(self) -> None:
        """Call ``tick`` now; start the thread if it is not running."""
        with self._lock:
            self._wake.set()
            # An interrupt may have prevented the known thread from starting.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    with true_interrupts():
                        self._thread.start()
                except RuntimeError:  # the interpreter is shutting down
                    self._thread = None

    def stop(self) -> None:
        """End the thread; the next :meth:`wake` starts a new one."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            join(thread, 1)

    def _run(self) -> None:
        mine = threading.current_thread()
        while True:
            self._wake.clear()
            if self._thread is not mine:  # after the line above, which may have cleared a stop
                return
            try:
                pause = self._tick()
            except BaseException as error:  # the next tick is due in any case
                log.debug("%s: a tick failed: %s", self._name, trail(error))
                pause = LONGEST_NAP
            if pause is None:
                with self._lock:
                    if not self._wake.is_set() and self._thread is mine:
                        self._thread = None
                        return
                continue
            self._wake.wait(min(pause, LONGEST_NAP))


class RefreshAhead:
    """Refreshes a token in use before a caller has to wait for it.

    A refresh is due when less than twice the margin is left, at a moment that differs between
    kernels and workers: the first one refreshes, the others find its result. A token that was not
    read since the last refresh is not refreshed.

    The refresh uses the client that got the token, whatever is configured now.

    Args:
        cache: of this kernel.
        renewal: refreshes.
    """

    def __init__(self, cache: TokenCache, renewal: Renewal) -> None:
        self._cache = cache
        self._renewal = renewal
        self._share = random.uniform(0.1, 1.0)  # noqa: S311 - spreads kernels in time; not for security
        self._failures: dict[TokenKey, tuple[int, float]] = {}

    def tick(self) -> float | None:
        """Refresh what is due; return the seconds until the next refresh, ``None`` for never."""
        naps = [self._look(key) for key in list(self._cache.tokens)]
        self._failures = {k: v for k, v in self._failures.items() if k in self._cache.tokens}
        return min((nap for nap in naps if nap is not None), default=None)

    def _look(self, key: TokenKey) -> float | None:
        token = self._cache.tokens.get(key)
        if token is None or not token.grant.usable or not token.client.settings.refresh_ahead:
            return None
        share = 1 - token.grant.margin + self._share
        due_in: float = token.fresh_for - share * refresh_margin(token.response.expires_in)
        failures, not_before = self._failures.get(key, (0, 0.0))
        due_in = max(due_in, not_before - time.monotonic())
        if due_in > 0:
            return float(due_in)
        if not token.used:
            return LONGEST_NAP if token.valid else None
        try:
            self._renew(key, token)
        except AuthorityUnreachable:
            pause = min(FIRST_RETRY * 2.0**failures, LONGEST_RETRY)
            self._failures[key] = failures + 1, time.monotonic() + pause
            log.debug("a refresh ahead of need failed; next attempt in %.0f s", pause)
            return pause
        except Exception as error:
            log.debug("a refresh ahead of need failed: %s", trail(error))
            pause = min(LONGEST_NAP * 2.0**failures, LONGEST_RETRY)
            self._failures[key] = failures + 1, time.monotonic() + pause
            token.used = False  # the next caller gets the error, or is asked to sign in
            return LONGEST_NAP
        self._failures.pop(key, None)
        fresh = self._cache.tokens.get(key)
        if fresh is not None:  # the old token, if the new one has another key
            fresh.used = False
        return 0.0

    def _renew(self, key: TokenKey, token: CachedToken) -> None:
        text = token.response.access_token
        self._renewal.silent(token.client, key.account, token.asked, refused=text)
