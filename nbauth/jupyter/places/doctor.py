"""The report of ``%login --doctor``: place, settings, flow, what to register, the provider.

No sign-in begins, and no secret is shown. The provider is contacted last, and only with ``ask``.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from nbauth.core.errors import ConfigurationError, FlowUnavailable, NbAuthError
from nbauth.core.flow_names import AUTO, BROWSER, CALLBACK
from nbauth.core.settings import NAMES, Settings
from nbauth.core.steps import ReceiverKind
from nbauth.core.text import plain
from nbauth.jupyter.ipykernel.reply_fix import AFFECTED
from nbauth.jupyter.places import service_part
from nbauth.jupyter.places.environment import Evidence, Place, apply_attended, look, place
from nbauth.jupyter.places.in_words import (
    entry,
    settings_in_words,
    shown,
    ticket_in_words,
    why_not,
)
from nbauth.jupyter.places.registration import to_register
from nbauth.kernel.client_credential import check_credential
from nbauth.kernel.sign_in.attempts import checked_flow
from nbauth.kernel.sign_in.receivers.callback_address import callback_address
from nbauth.kernel.sign_in.receivers.loopback import parts_of
from nbauth.kernel.sign_in.redirect_uri import with_source
from nbauth.kernel.sign_in.request import read_request
from nbauth.oauth.client import Client
from nbauth.oauth.flows import flow_named, offered
from nbauth.oauth.trust import Trust

if TYPE_CHECKING:
    from nbauth.jupyter.panel.page import Page
    from nbauth.kernel.session import Session

PACKAGES = (
    "ipykernel", "ipython", "ipywidgets", "anywidget", "jupyter_server", "msal", "authlib",
)  # fmt: skip
IF = {
    ReceiverKind.LOOPBACK: "if the panel finds that the browser is on this machine",
    ReceiverKind.JUPYTER_SERVER: "if the panel finds the callback page at your Jupyter server",
}
"""The condition under which a flow with this receiver works."""


@dataclass(frozen=True)
class Diagnosis:
    """``lines`` are the text; ``trouble`` has an entry for each fault that prevents a sign-in."""

    lines: tuple[str, ...]
    trouble: tuple[str, ...] = ()


def parts(
    session: Session,
    options: Mapping[str, Any],
    *,
    page: Page | None = None,
    evidence: Evidence | None = None,
    ask: bool = False,
) -> Iterator[Diagnosis]:
    """Check what a sign-in with these options would find in this process.

    Yields the result for this process, and with ``ask`` the provider's part, within ten seconds.

    Args:
        options: settings of the call, by name; ``None`` for those that are not given.
        page: the page that shows the notebook, if a panel's browser has sent it.
        evidence: signals to use instead of those of this process.
        ask: whether the provider is contacted.
    """
    seen = look() if evidence is None else evidence
    here = place(seen)
    call = {name: options[name] for name in NAMES if options.get(name) is not None}
    lines = [*_place(here, seen), *_installed(), *_strays(session)]
    client: Client | None = None
    faults: list[NbAuthError] = []
    try:
        settings = session.settings(**call)
        lines += [*_somebody(session, settings)]
        lines += ["", *_file(session), *settings_in_words(settings), ""]
        here = apply_attended(here, seen, settings.attended)
        lines += _flows(here, settings)
        lines += service_part.in_lines(Client.from_settings(settings, need_id=False))
        made = session.client(**call)
        lines += to_register(here, made, page)
        checked_flow(read_request(made, made.scopes(()), {}))
        _check_redirect_uri(settings, here, page)
        service_part.check(made)
        lines += ticket_in_words(settings.flow)
        if not ask:
            Trust.of(settings.verify).check()
            if settings.client_secret_from != "keyring":
                check_credential(settings)
        client = made
    except NbAuthError as error:
        faults.append(error)
    yield _diagnosis(lines, faults)
    if ask and client is not None:
        from nbauth.jupyter.places import provider

        answers = provider.ask(session, client)
        said = provider.in_lines(answers, client)
        yield _diagnosis(["", *said], [*provider.faults_of(answers, client, here.ways)])


def _diagnosis(lines: list[str], faults: list[NbAuthError]) -> Diagnosis:
    for fault in faults:
        lines += ["", *entry("trouble", plain(fault), f"→ {plain(fault.hint)}")]
    return Diagnosis(tuple(line.rstrip() for line in lines), tuple(plain(one) for one in faults))


def _place(here: Place, evidence: Evidence) -> Iterator[str]:
    yield from entry("place", here.name, here.note)
    where = {
        True: "on another machine than the browser",
        False: "on the same machine as the browser",
        None: "may be on another machine than the browser; the panel finds out",
    }
    if here.ways:
        yield from entry("kernel", where[here.apart])
    yield from entry("detected", ", ".join(evidence.in_words()) or "nothing")


def _somebody(session: Session, settings: Settings) -> Iterator[str]:
    obstacle, where = session.screen.obstacle(), settings.source("attended")
    said = "" if settings.attended == AUTO else f" (attended = {shown(settings.attended)}, {where})"
    can = "can answer" if obstacle is None else "cannot answer"
    yield from entry("a person", f"{can}{said}", *([obstacle.what] if obstacle else []))


def _installed() -> Iterator[str]:
    yield from entry("nbauth", f"{_version('nbauth')} in Python {platform.python_version()}")
    versions = [f"{name} {_version(name)}" for name in PACKAGES]
    yield from entry("with", ", ".join(versions[:4]), ", ".join(versions[4:]))
    if _version("ipykernel").startswith(AFFECTED):
        yield from entry("", "ipykernel 7.0 to 7.3 may hang when a page is opened; update it")
    yield from entry("nbauth.server", _server_extension())


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "is not installed"


def _server_extension() -> str:
    """Whether a Jupyter server of this environment serves the callback."""
    try:
        from jupyter_core.paths import jupyter_config_path
        from jupyter_server.config_manager import BaseJSONConfigManager
    except ImportError:
        return "needs jupyter_server: pip install 'nbauth[server]' in your server's environment"
    try:
        for folder in jupyter_config_path():
            config = BaseJSONConfigManager(config_dir=folder).get("jupyter_server_config")
            extensions = config.get("ServerApp", {}).get("jpserver_extensions", {})
            if "nbauth.server" in extensions:
                return f"{'enabled' if extensions['nbauth.server'] else 'disabled'} in {folder}"
    except Exception as error:  # no home folder, no permission, or an invalid file of Jupyter
        return f"not known: {plain(error)}"
    return "not enabled in this environment: jupyter server extension enable nbauth.server"


def _file(session: Session) -> Iterator[str]:
    file = session.reader.file()
    if file.found:
        yield from entry("config.toml", plain(file.name))
    else:
        yield from entry("config.toml", "none; checked:", *map(plain, session.reader.places()))


def _strays(session: Session) -> Iterator[str]:
    """Environment variables whose names resemble those of nbauth's settings."""
    for name, guess in session.reader.strays():
        meant = f"; did you mean {guess}?" if guess else ""
        yield from entry("not used", f"the variable {plain(name)}{meant}")


def _flows(here: Place, settings: Settings) -> Iterator[str]:
    chosen, label = settings.flow, "sign in by"
    if not here.ways and (chosen == AUTO or flow_named(chosen).interactive):
        yield from entry(label, "none: nobody can answer here, so a sign-in fails at once")
        return
    for way in here.ways if chosen == AUTO else dict.fromkeys((chosen, *here.ways)):
        flow = flow_named(way)
        why = flow.detail
        if way == chosen:
            why += f"; set ({settings.source('flow')})"
        elif flow.receiver in IF and here.apart is not False:
            why += f", {IF[flow.receiver]}"
        yield from entry(label, f"{way}: {why}")
        label = "  or by"
    for way in offered():
        if way not in (chosen, *here.ways):
            yield from entry("  not by", f"{way}: {why_not(way, here)}")


def _check_redirect_uri(settings: Settings, here: Place, page: Page | None) -> None:
    """Raise the error of the flow that would be used, if it refuses ``redirect_uri``."""
    flow = settings.flow if settings.flow != AUTO else next(iter(here.ways), AUTO)
    try:
        if flow == BROWSER and (own := settings.loopback_uri):
            parts_of(own)
        if flow == CALLBACK and settings.redirect_uri:
            with contextlib.suppress(FlowUnavailable):
                callback_address(page, os.environ, settings.redirect_uri)
    except ConfigurationError as error:
        raise with_source(error, settings.source("redirect_uri")) from error
