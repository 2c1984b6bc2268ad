"""The documents as texts: links, names, the generated pages, the picture, the HTML."""

from __future__ import annotations

import ast
import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from nbauth.core.settings import NAMES
from tests.docs.blocks import ALL, DOCUMENTS, KINDS, ROOT, of_kind, prose_of, read

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@functools.cache
def reference() -> dict[str, str]:
    """What tools/reference.py makes now."""
    spec = spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


@functools.cache
def sources() -> str:
    """All Python and shell of the repository."""
    texts = []
    for folder, below, names in os.walk(ROOT):
        below[:] = [name for name in below if name[0] != "." and name != "node_modules"]
        here = [Path(folder, name) for name in names if Path(name).suffix in (".py", ".sh")]
        texts += [path.read_text("utf-8") for path in here]
    return "\n".join(texts)


# ── blocks ──────────────────────────────────────────────────────────────────────────────────


def test_each_block_is_of_a_kind_that_is_tested(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = [f"{block.place}: {block.kind!r}" for block in ALL if block.kind not in KINDS]
    assert unknown == []
    count = Counter(block.kind for block in ALL)
    assert set(count) == set(KINDS), "a kind of which there is no block is not needed"
    with capsys.disabled():
        print()
        for kind, how in KINDS.items():
            print(f"  {count[kind]:3} {kind:24} {how}")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_fence_is_a_block(document: str) -> None:
    fences = len(re.findall(r"^\s*(?:```|~~~)", read(document), re.MULTILINE))
    assert fences == 2 * sum(block.document == document for block in ALL)


def test_signatures_are_python() -> None:
    for block in of_kind("pyi"):
        ast.parse(block.text)


# ── the README ──────────────────────────────────────────────────────────────────────────────


def test_the_readme_is_short_and_shows_the_panel() -> None:
    text = read("README.md")
    assert len(text.splitlines()) <= 200
    assert "](docs/panel.png)" in text
    picture = (ROOT / "docs" / "panel.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) < 150_000


def test_the_readme_names_every_page() -> None:
    targets = set(re.findall(r"\]\(docs/([^)#]+)", read("README.md")))
    pages = {name.removeprefix("docs/") for name in DOCUMENTS if name.startswith("docs/")}
    assert pages - targets == {"README.md"}


# ── links and names ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_what_is_there(document: str) -> None:
    here = ROOT / document
    for target in re.findall(r"\]\(([^)]+)\)", prose_of(document)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        page = here.parent / path if path else here
        assert page.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
            assert anchor in [_anchor(heading) for heading in headings], target


def _anchor(title: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_named_in_passing_is_there(document: str) -> None:
    """Options, targets, variables, extras, files and tests in the text, not only in blocks."""
    options = {"--help", *re.findall(r"--[a-z][a-z-]+", "".join(reference().values()))}
    targets = re.findall(r"^([a-z0-9%-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for words in re.findall(r"`([^`\n]+)`", prose_of(document)):
        if words.startswith(("%", "nbauth ")):
            unknown = set(re.findall(r"--[a-z][a-z-]+", words)) - options
            assert not unknown, words
        if found := re.fullmatch(r"make ([a-z0-9-]+)", words):
            assert any(re.fullmatch(t.replace("%", ".*"), found[1]) for t in targets), words
        for variable in re.findall(r"NBAUTH_[A-Z_]+[A-Z]", words):
            name = variable.removeprefix("NBAUTH_").lower()
            assert name in NAMES or variable in sources(), words
        for extra in re.findall(r"nbauth\[(\w+)\]", words):
            assert extra in PROJECT["optional-dependencies"], words
    for name in re.findall(r"\btest_\w+\.py", prose_of(document)):
        assert "<" in name or [*(ROOT / "tests").rglob(name)], name


def test_the_tree_names_every_module_of_its_packages() -> None:
    (tree,) = of_kind("tree")
    named = set(re.findall(r"[a-z0-9_]+\.py", tree.text))
    package = ROOT / "nbauth"
    assert named <= {path.name for path in package.rglob("*.py")}
    for room in ("", "jupyter", "kernel", "oauth"):
        mine = {path.name for path in (package / room).glob("*.py")}
        assert mine - named <= {"__init__.py", "__main__.py"}, room


# ── generated pages and HTML ────────────────────────────────────────────────────────────────


def test_the_generated_pages_are_up_to_date() -> None:
    stale = {
        name: text for name, text in reference().items() if read(f"docs/reference/{name}") != text
    }
    assert not stale, f"{', '.join(stale)}: run make docs"


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "properdocs", "build", "--strict", "--site-dir"]
    return subprocess.run(
        [*command, str(folder / "html")], cwd=folder, capture_output=True, text=True, timeout=100
    )


def test_html_is_built_and_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "properdocs.yml", tmp_path)
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    pages = [name for name in DOCUMENTS if name.startswith("docs/")]
    assert len([*(tmp_path / "html").rglob("*.html")]) == len(pages) + 1  # and 404.html
    html = "\n".join(path.read_text("utf-8") for path in (tmp_path / "html").rglob("*.html"))
    assert "```" not in html, "a block that is not shown as one"
    with (tmp_path / "docs" / "limits.md").open("a") as page:
        page.write("\n[nowhere](sign-in.md#nowhere)\n")
    assert build(tmp_path).returncode != 0
