"""Blocks that are configuration files are read by what reads such files."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterator

import jupyterhub.handlers
import pytest
from jupyterhub.scopes import scope_definitions
from oauthenticator.generic import GenericOAuthenticator
from traitlets.config import Config

import nbauth.server.hub
from nbauth.core.config_file import ConfigFile
from nbauth.core.config_mistakes import find
from nbauth.core.errors import ConfigurationError
from nbauth.core.settings import NAMES, resolve, variable
from nbauth.kernel.unattended import has_own_client
from nbauth.oauth.authorities import authority_from
from tests.docs.blocks import ALL, Block, of_kind

ITS_PATH = "/home/ada/.config/nbauth/config.toml"


def place(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("block", of_kind("toml"), ids=place)
def test_settings_are_read_and_each_profile_leads_to_an_authority(block: Block) -> None:
    table = tomllib.loads(block.text)
    assert find(table, block.text) == []
    file = ConfigFile("config.toml", table, block.text)
    assert file.profile in file.profiles, "a bare %login would find no profile"
    for profile in file.profiles:
        settings = resolve({"profile": profile}, {}, {}, file)
        assert settings.client_id or has_own_client(settings)
        assert authority_from(settings).url.startswith(("https://", "http://localhost:"))


def test_a_mistake_gives_the_message_that_stands_below_it() -> None:
    shown = [block for block in ALL if block.kind in ("mistake", "message")]
    assert [block.kind for block in shown] == ["mistake", "message"] * (len(shown) // 2)
    assert shown
    for mistake, message in zip(shown[::2], shown[1::2], strict=True):
        file = ConfigFile(
            ITS_PATH,
            tomllib.loads(mistake.text),
            mistake.text,
            find(tomllib.loads(mistake.text), mistake.text),
        )
        with pytest.raises(ConfigurationError) as raised:
            resolve({}, {}, {}, file)
        assert raised.value.lines() == message.text.splitlines()


@pytest.fixture
def hub_as_before() -> Iterator[None]:
    """``configure`` adds filters to loggers and a route to the hub of this process."""
    changed = [logging.getLogger(name).filters for name in nbauth.server.hub.LOGGERS]
    changed.append(jupyterhub.handlers.default_handlers)
    before = [list(each) for each in changed]
    yield
    for each, was in zip(changed, before, strict=True):
        each[:] = was


CONFIGURATION_FILES = of_kind("jupyterhub_config.py") + of_kind("ipython_kernel_config.py")


@pytest.mark.usefixtures("hub_as_before")
@pytest.mark.parametrize("block", CONFIGURATION_FILES, ids=place)
def test_configuration_files_set_what_they_are_for(block: Block) -> None:
    c = Config()
    exec(compile(block.text, block.place, "exec"), {"c": c})
    for section, options in c.items():
        for option, value in options.items():
            match f"{section}.{option}", value:
                case "JupyterHub.user_redirect_hook", hook:
                    assert hook is nbauth.server.hub.user_redirect_hook
                case "Spawner.environment", dict(variables):
                    assert set(variables) <= {variable(name) for name in NAMES}
                case "IPKernelApp.extensions", extensions:
                    assert extensions == [nbauth.__name__]
                case "JupyterHub.load_roles", roles:
                    words = {scope.partition("!")[0] for role in roles for scope in role["scopes"]}
                    assert words <= scope_definitions.keys()
                    assert {role["name"] for role in roles} == {"user", "server"}
                case ("JupyterHub.authenticator_class", _) | ("GenericOAuthenticator.scope", _):
                    assert c.JupyterHub.authenticator_class == "generic-oauth"
                    assert GenericOAuthenticator().has_trait(option) or section == "JupyterHub"
                case "Authenticator.enable_auth_state" | "Authenticator.auth_refresh_age", given:
                    setattr(GenericOAuthenticator(), option, given)
                case other, _:
                    pytest.fail(f"{block.place}: nothing tests {other}")
    assert c
