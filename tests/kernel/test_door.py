"""How a call's client is read, and the error if there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.core.settings_reader import SettingsReader
from nbauth.kernel.door import Door

WORK = '[profiles.work]\nclient_id = "x"\n'


def door(folder: Path, text: str, **environ: str) -> Door:
    file = folder / "config.toml"
    file.write_text(text, "utf-8")
    return Door(SettingsReader(environ, lambda: (file,)))


def test_the_error_lists_profiles_if_none_is_selected(tmp_path: Path) -> None:
    """The most likely mistake in a first configuration file."""
    for call in ({}, {"tenant": "contoso.com"}):
        with pytest.raises(ConfigurationError) as caught:
            door(tmp_path, WORK + '[profiles.idp]\nclient_id = "y"\n').client(**call)
        assert caught.value.code == "no_client_id"
        assert 'profile = "idp"' in caught.value.hint
        assert "idp, work" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("", {}),
        ('profile = "work"\n[profiles.work]\ntenant = "contoso.com"\n', {}),
        (WORK.replace("client_id", "tenant"), {"NBAUTH_PROFILE": "work"}),
        ('[profiles.default]\ntenant = "contoso.com"\n', {}),
    ],
    ids=["no profile", "chosen in the file", "chosen in the environment", "the default one"],
)
def test_without_profiles_the_error_says_how_to_get_a_client_id(
    tmp_path: Path, text: str, environ: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        door(tmp_path, text, **environ).client()
    assert caught.value.code == "no_client_id"
    assert "egister" in caught.value.hint
