"""Reads what a call asks for, once, into frozen values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbauth.core.account import Asked, ClientKey, check_client
from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.core.magic_word import as_word
from nbauth.core.person import IN_A_WORKER, Person
from nbauth.core.settings import NAMES, Settings
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.text import closest
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.request import Request, WebUi

SIGN_IN_OPTIONS = ("prompt", "login_hint", "domain_hint", "max_age", "claims", "consent_also")
MEMORY = "memory"
OF_THE_PROCESS = ("redact", "debug", "attended", "credential")
"""Settings that have no meaning for a single call."""


class Door:
    """Reads what a call asks for.

    Args:
        settings: of this process.
        person: who may sign in here.
    """

    def __init__(self, settings: SettingsReader, person: Person | None = None) -> None:
        self._settings, self._person = settings, person
        self._client: Client | None = None

    def client(self, **call: Any) -> Client:
        """The client for the settings of a call. Raises ``ConfigurationError``."""
        for name in call:
            _check_known(name, NAMES)
        if any(value is not None for value in call.values()):
            return self._client_from(self._settings.settings(**call))
        return self.present()

    def client_named(self, **call: Any) -> Client | None:
        """The client that a call names; ``None`` if it names none."""
        given = {name: value for name, value in call.items() if value is not None}
        return self.client(**given) if given else None

    def client_of(self, key: ClientKey, profile: str, persist: str = MEMORY) -> Client:
        """The client of a profile, or else of the current settings, if it has this key.

        Otherwise a client made from the key, without proxies and certificates. ``persist`` is used
        unless the settings here name a store.
        """
        found = self._with_key(key, profile) or Client.from_key(key, profile)
        if persist == MEMORY or found.settings.persist != MEMORY:
            return found
        return replace(found, settings=replace(found.settings, persist=persist))

    def _with_key(self, key: ClientKey, profile: str) -> Client | None:
        for call in ({"profile": profile}, {}):
            with contextlib.suppress(NbAuthError):
                client = self.client(**call)
                if client.key == key:
                    return client
        return None

    def present(self) -> Client:
        """The client of a call without settings; the same object until settings change."""
        settings, known = self._settings.present(), self._client
        if known is None or known.settings is not settings:
            known = self._client = self._client_from(settings)
        return known

    def _client_from(self, settings: Settings) -> Client:
        try:
            return Client.from_settings(settings, need_id=_needs_id(settings))
        except ConfigurationError as error:
            here = None if self._person is None else self._person.obstacle()
            if error.code == "no_client_id" and here is IN_A_WORKER:
                error.hint = here.hint
            elif error.code == "no_client_id" and (unused := self._profiles_unused(settings)):
                error.hint = (
                    f"config.toml defines {', '.join(unused)}, but selects none: write profile ="
                    f' "{unused[0]}" at its top, or run %login --profile {as_word(unused[0])}.'
                )
            raise

    def _profiles_unused(self, settings: Settings) -> list[str]:
        """The profiles in ``config.toml``, if none is selected."""
        named = settings.source("profile") != "default"
        return [] if named else [name for name in self._settings.profiles() if name != "default"]

    def request(
        self,
        scopes: Iterable[str],
        options: Mapping[str, Any],
        account: Asked | None = None,
        web_ui: WebUi | None = None,
    ) -> Request:
        """Read a sign-in from a call; see ``sign_in.request.read_request``.

        ``options``: settings of the call and parameters of the authorization request. Raises
        ``ConfigurationError``, also for an account of another client.
        """
        from nbauth.kernel.sign_in.request import read_request

        for name in options:
            _check_known(name, (*NAMES, *SIGN_IN_OPTIONS))
        client = self.client(**{name: options[name] for name in NAMES if name in options})
        check_client(account, client.key)
        asked = {name: options.get(name) for name in SIGN_IN_OPTIONS}
        return read_request(client, client.scopes(tuple(scopes)), asked, account, web_ui)


def _check_known(name: str, known: Iterable[str]) -> None:
    if name in OF_THE_PROCESS:
        raise ConfigurationError(
            f"{name} is a setting of this kernel, and no option of a call.",
            code="unknown_option",
            hint=f"Set it before: nbauth.configure({name}=…).",
        )
    if name not in known:
        guess = f" Did you mean {close}?" if (close := closest(name, known)) else ""
        raise ConfigurationError(f"There is no option {name!r}.{guess}", code="unknown_option")


def _needs_id(settings: Settings) -> bool:
    """Whether a missing ``client_id`` is an error at once, and not when a person signs in."""
    if settings.client_id:
        return True
    from nbauth.kernel.unattended import has_own_client

    return not has_own_client(settings)
