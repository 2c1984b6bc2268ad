"""Settings are resolved once, and again whenever one of their sources changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbauth.core import settings_reader
from nbauth.core.errors import ConfigurationError
from nbauth.core.settings import resolve
from nbauth.core.settings_reader import SettingsReader
from nbauth.testing.clock import FakeClock


class Process:
    """An environment, two paths of ``config.toml``, and configured settings."""

    def __init__(self, folder: Path) -> None:
        self.environ: dict[str, str] = {"HOME": "/home/ada"}
        self.files = [folder / "user.toml", folder / "site.toml"]
        self.reader = SettingsReader(self.environ, lambda: self.files)

    def tenant(self, **call: Any) -> str | None:
        """Its value in a new cell."""
        self.reader.look_again()
        return self.reader.settings(**call).tenant


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(tmp_path)


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One item for each call of ``resolve``."""
    counted: list[int] = []

    def counting(*layers: Any) -> Any:
        counted.append(1)
        return resolve(*layers)

    monkeypatch.setattr(settings_reader, "resolve", counting)
    return counted


def profile(tenant: str) -> str:
    return f'profile = "work"\n[profiles.work]\ntenant = "{tenant}"\n'


def test_without_a_change_the_settings_are_the_same_object(
    process: Process, resolved: list[int]
) -> None:
    first = process.reader.settings()
    for _ in range(3):
        process.reader.look_again()
        assert process.reader.settings(tenant=None) is first
    assert len(resolved) == 1


def test_a_variable_can_be_set_changed_and_removed(process: Process) -> None:
    assert process.tenant() is None
    process.environ["NBAUTH_TENANT"] = "one"
    assert process.tenant() == "one"
    process.environ["NBAUTH_TENANT"] = "two"
    assert process.tenant() == "two"
    del process.environ["NBAUTH_TENANT"]
    assert process.tenant() is None


def test_configure_applies_at_once(process: Process) -> None:
    assert process.tenant() is None
    for tenant in ("one", "two", None):
        process.reader.configure(tenant=tenant)
        assert process.reader.settings().tenant == tenant


def test_configure_rejects_an_unknown_profile(process: Process) -> None:
    process.files[0].write_text(profile("contoso.example"), "utf-8")
    with pytest.raises(ConfigurationError, match="Did you mean work"):
        process.reader.configure(profile="wrok", persist="keyring")
    assert process.reader.configured == {}
    process.reader.configure(profile="work", persist="keyring")
    process.reader.configure(profile="default")


def test_configure_applies_at_once_while_another_thread_reads(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other thread reads before the change, and caches its result after it."""

    def meanwhile(*given: Any) -> Any:
        made = resolve(*given)
        monkeypatch.setattr(settings_reader, "resolve", resolve)
        process.reader.configure(tenant="contoso.example")
        assert process.reader.present().tenant == "contoso.example"
        return made

    monkeypatch.setattr(settings_reader, "resolve", meanwhile)
    assert process.reader.present().tenant is None
    assert process.reader.present().tenant == "contoso.example"


def test_within_a_cell_sources_are_checked_once_a_second(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(settings_reader, "time", clock)
    looks: list[str] = []
    monkeypatch.setattr(settings_reader, "_stamp", lambda path: looks.append(path.name) or 2)
    first = process.reader.present()
    process.environ["NBAUTH_TENANT"] = "new"
    for _ in range(9):
        clock.advance(0.1)
        assert process.reader.present() is first
    assert len(looks) == len(process.files)
    clock.advance(0.2)
    assert process.reader.present().tenant == "new"
    process.environ["NBAUTH_TENANT"] = "newer"
    process.reader.look_again()
    assert process.reader.present().tenant == "newer", "a new cell"


def test_a_file_can_be_created_edited_and_removed(process: Process) -> None:
    user, site = process.files
    assert process.tenant() is None
    site.write_text(profile("of the site"))
    assert process.tenant() == "of the site"
    user.write_text(profile("mine"))
    assert (process.tenant(), process.reader.profiles()) == ("mine", ["work"])
    user.write_text(profile("my own"))
    assert process.tenant() == "my own"
    user.unlink()
    assert process.tenant() == "of the site"
    site.unlink()
    assert (process.tenant(), process.reader.profiles()) == (None, [])


def test_a_replaced_file_of_the_same_size_is_read_again(process: Process, tmp_path: Path) -> None:
    process.files[0].write_text(profile("one"))
    assert process.tenant() == "one"
    other = tmp_path / "other"
    other.write_text(profile("two"))
    other.replace(process.files[0])
    assert process.tenant() == "two"


def test_settings_of_a_call_apply_to_that_call_only(process: Process) -> None:
    assert process.tenant() is None
    assert process.tenant(tenant="mine") == "mine"
    assert process.tenant() is None


def test_a_change_of_HOME_changes_the_paths(process: Process, tmp_path: Path) -> None:
    process.files[0].write_text(profile("one"))
    assert process.tenant() == "one"
    process.files[:] = [tmp_path / "elsewhere.toml"]
    process.files[0].write_text(profile("two"))
    process.environ["XDG_CONFIG_HOME"] = "/elsewhere"
    assert process.tenant() == "two"


def test_an_error_is_raised_until_the_file_is_corrected(process: Process) -> None:
    assert process.tenant() is None
    for _ in range(2):
        process.files[0].write_text("profile = ")
        with pytest.raises(ConfigurationError, match="not valid TOML"):
            process.tenant()
        process.environ["NBAUTH_FLOW"] = "telepathy"
        process.files[0].write_text(profile("one"))
        with pytest.raises(ConfigurationError, match="NBAUTH_FLOW"):
            process.tenant()
        del process.environ["NBAUTH_FLOW"]
        assert process.tenant() == "one"


def test_a_deleted_ca_file_is_an_error(process: Process, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    process.environ["NBAUTH_VERIFY"] = str(ca_file)
    assert _anew(process).settings().verify == str(ca_file)
    ca_file.unlink()
    with pytest.raises(ConfigurationError, match="does not exist"):
        _anew(process).settings()
    ca_file.touch()
    assert _anew(process).settings().verify == str(ca_file)


def _anew(process: Process) -> SettingsReader:
    process.reader.look_again()
    return process.reader


TWO = '{top}[profiles.work]\ntenant = "contoso.com"\n[profiles.idp]\n{idp}\n'


class Told:
    """A ``Person`` that records what is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def attended(self) -> bool:
        return False

    def say(self, text: str) -> None:
        self.lines.append(text)

    def ask(self, prompt: str) -> str:
        raise AssertionError(prompt)


def test_a_mistake_in_another_profile_is_reported_once_and_is_no_error(process: Process) -> None:
    person = Told()
    process.reader = SettingsReader(process.environ, lambda: process.files, person)
    process.environ["NBAUTH_PROFILE"] = "work"
    process.files[0].write_text(TWO.format(top="", idp="scope = 'x'"))
    for _ in range(3):
        assert process.tenant() == "contoso.com"
    (told,) = person.lines
    assert "'idp'" in told
    assert f"{process.files[0]}, line 4: there is no setting scope." in told
    assert "Did you mean scopes?" in told
    for use in (
        lambda: process.tenant(profile="idp"),
        lambda: process.reader.check("profile", "idp", ""),
    ):
        with pytest.raises(ConfigurationError, match="no setting scope") as caught:
            use()
        assert caught.value.code == "bad_config_file"
    process.files[0].write_text(TWO.format(top="", idp="flow = 'no such'"))
    assert process.tenant() == "contoso.com"
    assert len(person.lines) == 2
    assert "line 4: flow" in person.lines[1]
    process.files[0].write_text(TWO.format(top="", idp="flow = 'device'"))
    assert process.tenant() == "contoso.com"
    assert len(person.lines) == 2


def test_a_mistake_outside_the_profiles_is_an_error_for_all_profiles(process: Process) -> None:
    process.files[0].write_text(TWO.format(top="client_id = 'x'\n", idp=""))
    for profile in ("work", "idp", "default"):
        with pytest.raises(ConfigurationError, match="line 1: client_id is above"):
            process.tenant(profile=profile)


def test_a_screen_may_read_the_settings_while_it_shows_a_notice(process: Process) -> None:
    class Asking(Told):
        def say(self, text: str) -> None:
            assert process.reader.settings(profile="work").tenant == "contoso.com"
            super().say(text)

    person = Asking()
    process.reader = SettingsReader(process.environ, lambda: process.files, person)
    process.files[0].write_text(TWO.format(top="profile = 'work'\n", idp="scope = 'x'"))
    assert process.tenant() == "contoso.com"
    assert len(person.lines) == 1


def test_an_error_for_a_missing_file_or_profile_names_the_line(process: Process) -> None:
    process.files[0].write_text("[profiles.work]\n\nverify = '/no/such.pem'\n")
    with pytest.raises(ConfigurationError, match="does not exist") as caught:
        process.tenant(profile="work")
    assert f"line 3 of {process.files[0]}" in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        process.files[0].write_text("\nprofile = 'wrok'\n[profiles.work]\n")
        process.tenant()
    assert f"line 2 of {process.files[0]}" in str(caught.value)
    assert "Did you mean work?" in str(caught.value)


def test_the_file_in_use_is_known(process: Process) -> None:
    assert not process.reader.file().found
    process.files[1].write_text(profile("of the site"))
    assert process.reader.file().name == str(process.files[1])
    assert list(process.reader.places()) == process.files


def test_without_a_file_the_toml_modules_are_not_imported() -> None:
    code = (
        "import sys; from nbauth.core.settings_reader import SettingsReader\n"
        "from pathlib import Path\n"
        "assert SettingsReader({}, lambda: [Path('/none/config.toml')]).settings().tenant is None\n"
        "late = {'tomllib', 'nbauth.core.config_text', 'nbauth.core.config_mistakes',\n"
        " 'nbauth.core.toml_lines'}\n"
        "print(sorted(late & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
