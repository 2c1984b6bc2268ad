"""Variables in ``user_ns`` and in the environment: set, refreshed and removed."""

from __future__ import annotations

import keyword
import os
import re
import threading
import unicodedata
from collections.abc import Collection, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from nbauth.core.account import AccountKey
from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.core.person import Person, say_to
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import Token

_IPYTHONS = re.compile(
    r"_+|_+i+|_i?\d+|_[dois]h|__\w+__|_exit_code|In|Out|get_ipython|exit|quit|open|display"
)
"""Names that IPython sets or reads in a notebook."""
_READ_BY_PROGRAMS = re.compile(
    r"PATH|HOME|USER|SHELL|PWD|TMPDIR|TERM|TZ|LANG|LC_\w+|LD_\w+|DYLD_\w+|I?PYTHON\w*|NBAUTH_\w+"
    r"|SSL_CERT_(?:FILE|DIR)|(?:REQUESTS|CURL)_CA_BUNDLE|(?:https?|ftp|socks|all|no)_proxy",
    re.IGNORECASE,
)
"""Variables from which programs, and nbauth, read settings."""


@dataclass(frozen=True)
class _Bound:
    """A variable that nbauth refreshes as long as it has this text.

    Attributes:
        token: gives the present text, without a sign-in.
        last: the text that was set.
        before: the value that the environment variable had before.
        stale: whether the message that it cannot be refreshed has been shown.
    """

    token: Token
    last: SecretStr
    before: str | None = None
    stale: bool = False


class Variables:
    """The variables that ``%token`` has set. Refreshing them never begins a sign-in.

    Args:
        user_ns: the variables of the notebook.
        person: gets one message for a variable that cannot be refreshed.
        environ: the environment of ``!`` commands.
    """

    def __init__(
        self,
        user_ns: dict[str, Any],
        person: Person,
        environ: MutableMapping[str, str] = os.environ,
    ) -> None:
        self._user_ns = user_ns
        self._person = person
        self._environ = environ
        self._texts: dict[str, _Bound] = {}
        self._environment: dict[str, _Bound] = {}
        self._lock = threading.Lock()  # guards both; another thread may remove variables

    @staticmethod
    def check(into: str | None = None, env: str | None = None) -> None:
        """Raise ``ConfigurationError`` for an invalid name, before a token is requested."""
        if into:
            _variable(into)
        if env:
            _environment_variable(env)

    def put(self, name: str, value: object) -> None:
        """Set a plain variable. Raises ``ConfigurationError`` for an invalid name."""
        self._user_ns[_variable(name)] = value

    def put_text(self, name: str, token: Token) -> SecretStr:
        """Set a masked ``str`` that :meth:`refresh` updates until it is reassigned."""
        name = _variable(name)
        bound = _Bound(token, token.value)
        with self._lock:
            self._texts[name] = bound
            self._user_ns[name] = bound.last
        return bound.last

    def put_environment(self, name: str, token: Token) -> None:
        """Set an environment variable for ``!`` commands. It is updated in the same way.

        When the variable is removed, its previous value is restored.
        """
        _environment_variable(name)
        before = self._environ.get(name)
        known = self._environment.get(name)
        if known is not None and before == str(known.last):
            before = known.before
        bound = _Bound(token, token.value, before)
        with self._lock:
            self._environment[name] = bound
            self._environ[name] = str(bound.last)

    def refresh(self, *_: object) -> None:
        """Before a cell: update tokens that would expire. Reassigned variables are left alone."""
        for name, bound in list(self._texts.items()):
            if self._user_ns.get(name) is not bound.last:
                self._texts.pop(name, None)
                continue
            fresh = self._fresh(name, bound)
            if fresh is bound:
                continue
            with self._lock:  # it may have been removed during the request
                if self._texts.get(name) is bound:
                    self._texts[name] = fresh
                    self._user_ns[name] = fresh.last
        for name, bound in list(self._environment.items()):
            if self._environ.get(name) != str(bound.last):
                self._environment.pop(name, None)
                continue
            fresh = self._fresh(name, bound)
            if fresh is bound:
                continue
            with self._lock:
                if self._environment.get(name) is bound:
                    self._environment[name] = fresh
                    if fresh.last != bound.last:
                        self._environ[name] = str(fresh.last)

    def _fresh(self, name: str, bound: _Bound) -> _Bound:
        try:
            value = bound.token.value
        except NbAuthError as error:
            if not bound.stale:
                again = "Run %login, then set it again with %token."
                say_to(self._person, f"{name} could not be refreshed: {error} {again}")
            return replace(bound, stale=True)
        return bound if value == bound.last else replace(bound, last=value, stale=False)

    def keep_only(self, keys: Collection[AccountKey] = ()) -> None:
        """Remove the variables of all other accounts, unless they were reassigned."""
        for name, bound in list(self._environment.items()):
            if bound.token.owner not in keys:
                with self._lock:
                    self._give_back(name, keys)
        for name, bound in list(self._texts.items()):
            if bound.token.owner not in keys:
                with self._lock:
                    self._take_back(name, keys)

    def _take_back(self, name: str, keys: Collection[AccountKey]) -> None:
        bound = self._texts.get(name)
        if bound is None or bound.token.owner in keys:  # it has been set again
            return
        del self._texts[name]
        if self._user_ns.get(name) is bound.last:
            del self._user_ns[name]

    def _give_back(self, name: str, keys: Collection[AccountKey]) -> None:
        bound = self._environment.get(name)
        if bound is None or bound.token.owner in keys:
            return
        del self._environment[name]
        if self._environ.get(name) != str(bound.last):
            return
        if bound.before is None:
            del self._environ[name]
        else:
            self._environ[name] = bound.before


def _environment_variable(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ConfigurationError(
            f"{name!r} is not the name of an environment variable.",
            code="bad_name",
            hint="Use letters, digits and underscores, and no digit first.",
        )
    if _READ_BY_PROGRAMS.fullmatch(name):
        raise ConfigurationError(
            f"Programs read a setting from {name}. A token in that variable would stop them from"
            " working, or be sent to somewhere else.",
            code="bad_name",
            hint="Choose another name, such as ACCESS_TOKEN.",
        )


def _variable(name: str) -> str:
    name = unicodedata.normalize("NFKC", name)  # as Python normalizes names (PEP 3131)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ConfigurationError(
            f"{name!r} is not a variable name.",
            code="bad_name",
            hint="Choose a valid Python variable name, such as token.",
        )
    if _IPYTHONS.fullmatch(name):
        raise ConfigurationError(
            f"IPython itself uses the name {name}. A token in that variable would be lost or would"
            " stop IPython from working.",
            code="bad_name",
            hint="Choose another name.",
        )
    return name
