"""`make demo` installs the extra `demo` alone: enough for the demo, and no test tool."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement

from nbauth import subcommands
from nbauth.demo.launcher import find_tour
from tests.docs.blocks import ROOT

TEST_TOOLS = {"pytest", "playwright", "selenium", "mypy", "ruff", "jupyterhub", "papermill"}


def name_of(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text.lower())


def installed_with(wanted: Requirement) -> set[str]:
    """The distributions that come with a requirement, itself included."""
    found: set[str] = set()
    waiting = [(name_of(wanted.name), frozenset(wanted.extras))]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        found.add(name)
        try:
            needs = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:  # of another system or Python
            continue
        for need in needs:
            marks = [{"extra": extra} for extra in extras or {""}]
            if need.marker is None or any(need.marker.evaluate(mark) for mark in marks):
                one = (name_of(need.name), frozenset(need.extras))
                if one not in seen:
                    seen.add(one)
                    waiting.append(one)
    return found


def test_the_extra_has_all_that_the_demo_needs_and_no_test_tool() -> None:
    there = installed_with(Requirement("nbauth[demo]"))
    distributions = packages_distributions()
    for module in (*subcommands._DEMO_NEEDS, *subcommands._LAB_NEEDS, *subcommands._CHECK_NEEDS):
        assert there & {name_of(name) for name in distributions[module]}, module
    assert not there & TEST_TOOLS


def imported_in_the_tour() -> Iterator[str]:
    """The packages that cells of the notebooks import, without Python's own."""
    for path in find_tour():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                source = TransformerManager().transform_cell(cell.source)
                for node in ast.walk(ast.parse(source)):
                    if isinstance(node, ast.Import):
                        yield from (one.name.partition(".")[0] for one in node.names)
                    elif isinstance(node, ast.ImportFrom):
                        yield str(node.module).partition(".")[0]


def test_the_extra_has_what_the_notebooks_import() -> None:
    there = installed_with(Requirement("nbauth[demo]"))
    distributions = packages_distributions()
    own = {*sys.stdlib_module_names, "nbauth", "my_flow"}
    wanted = set(imported_in_the_tour()) - own
    assert wanted >= {"distributed", "joblib", "pandas", "requests"}
    for module in wanted:
        assert there & {name_of(name) for name in distributions[module]}, module


def test_the_test_tools_would_be_noticed() -> None:
    assert installed_with(Requirement("nbauth[test]")) >= TEST_TOOLS
    assert "jupyterlab" not in installed_with(Requirement("nbauth"))


def test_the_set_up_installs_that_extra_into_its_own_environment() -> None:
    script = (ROOT / "tools" / "setup.sh").read_text("utf-8")
    body = script.partition("install_demo() {")[2].partition("\n}")[0]
    assert re.findall(r"-e (\S+)", body) == ["'.[demo]'"] * 2
    recipe = (ROOT / "Makefile").read_text("utf-8").partition("\ndemo: ")[2].splitlines()
    assert recipe[:2] == [".venv-demo/.installed", "\t.venv-demo/bin/nbauth demo"]
