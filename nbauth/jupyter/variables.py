"""Variables in ``user_ns`` and in the environment: set, refreshed and removed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Container, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from nbauth.core.account import AccountKey
from nbauth.core.errors import NbAuthError
from nbauth.core.live_header import LiveHeader
from nbauth.core.person import Person, say_to
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import Token
from nbauth.jupyter.variable_names import check_environment_variable, python_variable


@dataclass(frozen=True)
class _Bound:
    """A variable that nbauth has set. It is known as long as it has this value.

    Attributes:
        token: gives the present text, without a sign-in if ``rebound``.
        last: the value that was set.
        place: the namespace or environment in which it was set.
        former: the value before ``last``: the variable has it until ``last`` is in its place.
        before: the value that the environment variable had before.
        rebound: whether it is a text, which :meth:`Variables.refresh` updates.
        stale: whether the message that it cannot be refreshed has been shown.
    """

    token: Token
    last: Any
    place: MutableMapping[str, Any]
    former: Any = None
    before: str | None = None
    rebound: bool = True
    stale: bool = False

    def has_set(self, value: object) -> bool:
        """Whether a variable of the notebook has a value from nbauth: the very same object."""
        return value is not None and (value is self.last or value is self.former)

    def has_exported(self, value: str | None) -> bool:
        """Whether an environment variable has a value from nbauth. It keeps no identity."""
        return value is not None and value in (self.last, self.former)


class Variables:
    """The variables that ``%token`` has set. Refreshing them never begins a sign-in.

    Each change first notes the new value in the table, then sets it, so that an interrupt between
    them leaves no variable that is not known.

    Args:
        user_ns: returns the variables of the notebook.
        person: gets one message for a variable that cannot be refreshed.
        environ: the environment of ``!`` commands.
    """

    def __init__(
        self,
        user_ns: Callable[[], dict[str, Any]],
        person: Person,
        environ: MutableMapping[str, str] = os.environ,
    ) -> None:
        self._user_ns = user_ns
        self._person = person
        self._environ = environ
        self._names: dict[str, _Bound] = {}
        self._environment: dict[str, _Bound] = {}
        self._lock = threading.Lock()  # guards both; another thread may remove variables
        self._process = os.getpid()

    @staticmethod
    def check(into: str | None = None, env: str | None = None) -> None:
        """Raise ``ConfigurationError`` for an invalid name, before a token is requested."""
        if into:
            python_variable(into)
        if env:
            check_environment_variable(env)

    def put(self, name: str, value: Token | LiveHeader, token: Token) -> None:
        """Set a variable to an object that reads the token. Raises ``ConfigurationError``."""
        self._put(name, _Bound(token, value, self._user_ns(), rebound=False))

    def put_text(self, name: str, token: Token) -> SecretStr:
        """Set a masked ``str`` that :meth:`refresh` updates until it is reassigned."""
        text = SecretStr(token.value)  # an object of its own: the user may have the token's text
        self._put(name, _Bound(token, text, self._user_ns()))
        return text

    def _put(self, name: str, bound: _Bound) -> None:
        name = python_variable(name)
        with self._mutex():
            known, there = self._names.get(name), bound.place.get(name)
            former = there if known is not None and known.has_set(there) else None
            self._names[name] = replace(bound, former=former)
            bound.place[name] = bound.last
            self._names[name] = bound

    def put_environment(self, name: str, token: Token) -> None:
        """Set an environment variable for ``!`` commands. It is updated in the same way.

        When the variable is removed, its previous value is restored.
        """
        check_environment_variable(name)
        text = SecretStr(token.value)
        with self._mutex():
            before, former, known = self._environ.get(name), None, self._environment.get(name)
            if known is not None and known.has_exported(before):
                before, former = known.before, before
            bound = _Bound(token, text, self._environ, former, before)
            self._environment[name] = bound
            self._environ[name] = str(text)
            self._environment[name] = replace(bound, former=None)

    def refresh(self) -> None:
        """Before a cell: update tokens that would expire. Reassigned variables are left alone."""
        for name, bound in list(self._names.items()):
            if not bound.has_set(bound.place.get(name)):
                self._forget(self._names, name, bound)
            elif bound.rebound and (fresh := self._fresh(name, bound)) is not bound:
                with self._mutex():  # it may have been removed during the request
                    self._renew(self._names, name, bound, fresh)
        for name, bound in list(self._environment.items()):
            if not bound.has_exported(bound.place.get(name)):
                self._forget(self._environment, name, bound)
            elif (fresh := self._fresh(name, bound)) is not bound:
                with self._mutex():
                    self._renew(self._environment, name, bound, fresh)

    def _forget(self, table: dict[str, _Bound], name: str, bound: _Bound) -> None:
        with self._mutex():
            if table.get(name) is bound:
                del table[name]

    def _renew(self, table: dict[str, _Bound], name: str, bound: _Bound, fresh: _Bound) -> None:
        if table.get(name) is not bound:
            return
        there = fresh.place.get(name)
        environment = table is self._environment
        if not (bound.has_exported(there) if environment else bound.has_set(there)):
            return  # reassigned during the request
        table[name] = replace(fresh, former=there)
        if fresh.last is not bound.last:
            fresh.place[name] = str(fresh.last) if environment else fresh.last
        table[name] = replace(fresh, former=None)

    def _fresh(self, name: str, bound: _Bound) -> _Bound:
        try:
            value = bound.token.value
        except NbAuthError as error:
            if not bound.stale:
                again = "Run %login, then set it again with %token."
                say_to(self._person, f"{name} could not be refreshed: {error} {again}")
                return replace(bound, stale=True)
            return bound
        return bound if value == bound.last else replace(bound, last=SecretStr(value), stale=False)

    def keep_only(self, keys: Container[AccountKey] = ()) -> None:
        """Remove the variables of all other accounts, unless they were reassigned."""
        for name, bound in list(self._environment.items()):
            if bound.token.owner not in keys:
                with self._mutex():
                    self._restore(name, keys)
        for name, bound in list(self._names.items()):
            if bound.token.owner not in keys:
                with self._mutex():
                    self._remove(name, keys)

    def of(self, key: AccountKey) -> tuple[str, ...]:
        """The names of an account's variables, those of the environment last."""
        names = [
            name
            for name, bound in list(self._names.items())
            if bound.token.owner == key and bound.has_set(bound.place.get(name))
        ]
        exported = [
            f"{name} (environment)"
            for name, bound in list(self._environment.items())
            if bound.token.owner == key and bound.has_exported(bound.place.get(name))
        ]
        return (*names, *exported)

    def _remove(self, name: str, keys: Container[AccountKey]) -> None:
        bound = self._names.get(name)
        if bound is None or bound.token.owner in keys:  # it has been set again
            return
        if bound.has_set(bound.place.get(name)):
            del bound.place[name]
        del self._names[name]

    def _restore(self, name: str, keys: Container[AccountKey]) -> None:
        bound = self._environment.get(name)
        if bound is None or bound.token.owner in keys:
            return
        if bound.has_exported(bound.place.get(name)):
            if bound.before is None:
                del bound.place[name]
            else:
                bound.place[name] = bound.before
        del self._environment[name]

    def _mutex(self) -> threading.Lock:
        """The lock; a new one in a forked child, where another thread's lock would stay locked."""
        if self._process != os.getpid():
            self._lock, self._process = threading.Lock(), os.getpid()
        return self._lock
