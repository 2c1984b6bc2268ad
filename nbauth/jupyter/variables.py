"""What enters ``user_ns`` and the environment, stays fresh there, and leaves."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import Token


@dataclass(frozen=True)
class _Bound:
    token: Token
    last: SecretStr


class Variables:
    """The variables that ``%token`` has set and keeps fresh.

    Args:
        user_ns: the notebook's names.
        say: tells the person a line.
    """

    def __init__(self, user_ns: dict[str, Any], say: Callable[[str], None] = print) -> None:
        self._user_ns = user_ns
        self._say = say
        self._texts: dict[str, _Bound] = {}
        self._environment: dict[str, _Bound] = {}

    def put(self, name: str, value: object) -> None:
        """Set a plain variable. Raises ``ConfigurationError`` for what is no name."""
        self._user_ns[_identifier(name)] = value

    def put_text(self, name: str, token: Token) -> SecretStr:
        """Set a masked ``str`` that :meth:`refresh` keeps fresh, while it is ours."""
        self._texts[_identifier(name)] = bound = _Bound(token, token.value)
        self._user_ns[name] = bound.last
        return bound.last

    def put_environment(self, name: str, token: Token) -> None:
        """Set an environment variable for ``!`` commands, kept fresh likewise."""
        if not name.replace("_", "a").isalnum() or name[0].isdigit():
            raise ConfigurationError(
                f"{name!r} is not the name of an environment variable.", code="bad_name"
            )
        self._environment[name] = _Bound(token, token.value)
        os.environ[name] = str(token.value)

    def refresh(self, *_: object) -> None:
        """Before a cell: rebind what would go stale. A variable that was reassigned is let go."""
        for name, bound in list(self._texts.items()):
            if self._user_ns.get(name) is not bound.last:
                del self._texts[name]
                continue
            fresh = self._fresh(name, bound)
            if fresh is not None:
                self._texts[name] = _Bound(bound.token, fresh)
                self._user_ns[name] = fresh
        for name, bound in list(self._environment.items()):
            if os.environ.get(name) != str(bound.last):
                del self._environment[name]
                continue
            fresh = self._fresh(name, bound)
            if fresh is not None:
                self._environment[name] = _Bound(bound.token, fresh)
                os.environ[name] = str(fresh)

    def _fresh(self, name: str, bound: _Bound) -> SecretStr | None:
        try:
            value = bound.token.value
        except NbAuthError as error:
            self._say(f"{name} could not be refreshed: {error}")
            return None
        return None if value == bound.last else value

    def keep_only(self, usernames: Collection[str] = ()) -> None:
        """Take back what was set for anybody else, where it is still ours."""
        for name, bound in list(self._environment.items()):
            if bound.token.owner not in usernames:
                del self._environment[name]
                if os.environ.get(name) == str(bound.last):
                    del os.environ[name]
        for name, bound in list(self._texts.items()):
            if bound.token.owner not in usernames:
                del self._texts[name]
                if self._user_ns.get(name) is bound.last:
                    del self._user_ns[name]


def _identifier(name: str) -> str:
    if not name.isidentifier():
        raise ConfigurationError(f"{name!r} is not a variable name.", code="bad_name")
    return name
