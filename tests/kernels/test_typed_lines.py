"""Typed lines in real kernels and in a terminal's IPython: what is run, shown and completed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from nbauth.demo.launcher import Demo
from tests.harness.kernels import KERNEL_VERSIONS, Kernel, isolated_environment
from tests.kernels.conftest import environment


@pytest.fixture(scope="module", params=[v for v in KERNEL_VERSIONS if v != "7.3"])
def kernel(request: pytest.FixtureRequest, demo: Demo) -> Iterator[Kernel]:
    with Kernel(request.param, env=environment(demo), allow_stdin=True) as made:
        assert made.run("%load_ext nbauth").status == "ok"
        yield made


def completed(kernel: Kernel, text: str) -> list[str]:
    kernel.client.complete(text, len(text))
    reply = kernel.client.get_shell_msg(timeout=30)["content"]
    found = reply["matches"]
    assert reply["cursor_end"] == len(text)
    return [text[: reply["cursor_start"]] + each for each in found]


@pytest.mark.parametrize("jedi", [True, False], ids=["jedi", "no-jedi"])
def test_tab_offers_what_is_ours(kernel: Kernel, jedi: bool) -> None:
    kernel.run(f"get_ipython().Completer.use_jedi = {jedi}")
    assert completed(kernel, "%login --fl") == ["%login --flow"]
    assert completed(kernel, "%login --flow de") == ["%login --flow device"]
    assert completed(kernel, "if True:\n    x = %token --int") == [
        "if True:\n    x = %token --into"
    ]
    assert completed(kernel, "%login --timeout ") == []
    assert "%login --quiet" in completed(kernel, "%login --")
    assert len(completed(kernel, "%login --")) < 25


def test_a_cell_that_signs_in_tells_of_it_once(kernel: Kernel, willing_person: None) -> None:
    first = kernel.run("%login --flow device")
    assert first.status == "ok", first.traceback
    again = kernel.run("%login")
    assert again.text == "Already signed in as ada.demo@demo.example. (--force signs in again.)\n"
    assert again.data == []
    assert kernel.run("%login --quiet").result.startswith("Account(")
    assert kernel.run("account = %login\naccount").data == []
    assert kernel.run("account").result.startswith("Account(")
    assert kernel.run("%whoami").text.startswith("ada.demo@demo.example (")


def test_lines_are_read_in_functions_and_beside_other_lines(
    kernel: Kernel, willing_person: None
) -> None:
    kernel.run("%login --flow device --quiet")
    result = kernel.run(
        "def into(name, wanted='outside'):\n"
        "    wanted = 'User.Read'\n"
        "    %token $wanted --into {name + '_1'} --quiet\n"
        "    inner = %token {wanted}\n"
        "    return str(inner)\n"
        "text = into('held')\n"
        'print(text == str(held_1) == "Bearer " + held_1 == False, len(text) > 20)'
    )
    assert result.text == "False True\n", result.traceback
    result = kernel.run(
        "try:\n"
        "    %accounts drop o'brien@contoso.com\n"
        "except Exception as error:\n"
        "    print('o\\'brien@contoso.com is' in str(error))\n"
        "x = 'it''s' + \"fine\"\n"
        "print(x)"
    )
    assert result.text == "True\nitsfine\n", result.traceback


def test_an_apostrophe_in_one_line_leaves_the_others_alone(kernel: Kernel) -> None:
    result = kernel.run("print(1)\n%accounts --account o'brien@contoso.com --quiet\nprint(2)")
    assert result.text == "1\n2\n", result.traceback


@pytest.mark.parametrize("before", ["", "%config NbAuth.timeout = 5\n"], ids=["first", "later"])
def test_after_a_refused_value_the_extension_can_be_loaded_again(
    kernel: Kernel, before: str
) -> None:
    """In a kernel, ``%config`` updates the shell after nbauth, whose class name comes first."""
    kernel.run("get_ipython().config.pop('NbAuth', None)\n%reload_ext nbauth")
    kernel.run(f"{before}%config NbAuth.timeout = 'soon'")
    assert kernel.run("%reload_ext nbauth").text == ""
    kept = kernel.run("print(get_ipython().run_line_magic('config', 'NbAuth.timeout'))").text
    assert kept == ("5\n" if before else "None\n")
    assert kernel.run("%whoami").status == "ok"
    kernel.run("get_ipython().config.pop('NbAuth', None)\n%reload_ext nbauth")


def terminal(demo: Demo, home: Path, *options: str) -> pexpect.spawn:
    env = isolated_environment(home, env=environment(demo))
    env |= {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "COLUMNS": "100"}
    begin = ["-m", "IPython", "--no-banner", "--colors=NoColor", "--no-confirm-exit", *options]
    return pexpect.spawn(
        sys.executable, begin, env=env, dimensions=(40, 100), encoding="utf-8", timeout=40
    )


def test_a_terminal_that_signs_in_tells_of_it_once(
    demo: Demo, tmp_path: Path, willing_person: None
) -> None:
    shell = terminal(demo, tmp_path, "--simple-prompt")
    try:
        shell.expect(r"In \[1\]: ")
        shell.sendline("%load_ext nbauth")
        for cell, line, says, shows in (
            (2, "%login --flow device", "Signed in as", False),
            (3, "%login", "Already signed in as", False),
            (4, "_", r"Out\[4\]: Account\(", True),
            (5, "Out[3]", r"Out\[5\]: Account\(", True),
            (6, "%login --quiet", r"Out\[6\]: Account\(", True),
            (7, "%unload_ext nbauth", "", False),
            (8, "1 + 1", r"Out\[8\]: 2", True),
        ):
            shell.expect(rf"In \[{cell}\]: ")
            shell.sendline(line)
            shell.expect(says)
            if not shows:
                shell.expect(rf"In \[{cell + 1}\]: ")
                assert "Out[" not in shell.before
                shell.sendline("")
    finally:
        shell.close(force=True)


@pytest.mark.parametrize("jedi", ["True", "False"])
def test_in_a_terminal_tab_writes_what_is_meant(jedi: str, demo: Demo, tmp_path: Path) -> None:
    shell = terminal(demo, tmp_path, f"--IPCompleter.use_jedi={jedi}")
    try:
        shell.expect("In .*1")
        shell.send("%load_ext nbauth\r")
        shell.expect("In .*2")
        shell.send("%login --fl\t")
        shell.expect("ow\x1b")  # what follows --fl
        shell.send("\r")
        shell.expect("--flow needs a value")
        shell.expect("In .*3")
        shell.send("x = %token --int\t")
        shell.expect("o\x1b")
        shell.send("\r")
        shell.expect("--into needs a value")
        shell.expect("In .*4")
        shell.send("%login --flow hu\t")
        shell.expect("b\x1b")
        shell.send("\r")
        shell.expect("This kernel was not started by JupyterHub")
    finally:
        shell.close(force=True)
