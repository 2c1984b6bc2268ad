"""What the documents show is there: examples are read, links lead somewhere, files are named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from nbauth.core.config_file import ConfigFile
from nbauth.core.config_mistakes import find
from nbauth.core.settings import NAMES, resolve
from nbauth.oauth.authorities import authority_from

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLES = "\n".join(re.findall(r"```toml\n(.*?)```", README, re.DOTALL))
TREE = re.findall(
    r"```\n(nbauth/\n.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL
)


def test_the_profiles_of_the_readme_are_a_config_toml_without_mistakes() -> None:
    assert find(tomllib.loads(EXAMPLES), EXAMPLES) == []


@pytest.mark.parametrize("profile", tomllib.loads(EXAMPLES)["profiles"])
def test_each_profile_of_the_readme_leads_to_an_authority(profile: str) -> None:
    file = ConfigFile("config.toml", tomllib.loads(EXAMPLES), EXAMPLES)
    settings = resolve({"profile": profile}, {}, {}, file)
    assert settings.client_id
    assert authority_from(settings).url.startswith(("https://", "http://localhost:"))


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_is_in_the_table_of_settings(name: str) -> None:
    table = README.partition("### Settings")[2].partition("### ")[0]
    assert f"`{name}`" in table


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_what_is_there(document: str) -> None:
    here = ROOT / document
    text = here.read_text("utf-8")
    anchors = {_anchor(title) for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("https://"):
            assert (here.parent / target).exists(), target


def _anchor(title: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_the_picture_of_the_house_names_every_module_of_its_rooms() -> None:
    (picture,) = TREE
    named = set(re.findall(r"[a-z0-9_]+\.py", picture))
    package = ROOT / "nbauth"
    there = {path.name for path in package.rglob("*.py")}
    assert named <= there
    for room in ("", "jupyter", "kernel", "oauth"):
        mine = {path.name for path in (package / room).glob("*.py")}
        assert mine - named <= {"__init__.py", "__main__.py"}, room


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_tests_that_are_named_exist(document: str) -> None:
    for name in re.findall(r"\btest_\w+\.py", (ROOT / document).read_text("utf-8")):
        assert [*(ROOT / "tests").rglob(name)], name
