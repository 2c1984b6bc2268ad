"""``%config NbAuth.…``: a value that was refused leaves nothing behind."""

from __future__ import annotations

import pytest

from tests.jupyter.typed import shell

REFUSED = (
    "timeout = 'soon'", "attended = 'maybe'", "flow = 'nope'", "scopes = 5", "verify = False",
    "client_id = 'a\\x1bb'", "hosts = []",
)  # fmt: skip


@pytest.mark.parametrize("line", REFUSED)
@pytest.mark.parametrize("before", [None, "good"])
def test_after_a_refused_value_the_extension_can_be_loaded_again(
    line: str, before: str | None
) -> None:
    good = {"timeout": 5, "attended": "auto", "flow": "device", "scopes": "read",
            "verify": True, "client_id": "one", "hosts": {}}  # fmt: skip
    name = line.partition(" ")[0]
    value = good[name] if before else None
    with shell("ada") as here:
        here.type(f"%config NbAuth.{name} = {value!r}")
        here.type(f"%config NbAuth.{line}")
        here.type(f"found = get_ipython().run_line_magic('config', 'NbAuth.{name}')")
        assert here.shell.user_ns["found"] == value
        assert here.type("%reload_ext nbauth") == ""
        assert here.type("%whoami").startswith("ada@example.com")
        here.type(f"found = get_ipython().run_line_magic('config', 'NbAuth.{name}')")
        assert here.shell.user_ns["found"] == value
        here.shell.config.pop("NbAuth", None)


def test_an_invalid_value_of_a_configuration_file_is_said_each_time() -> None:
    with shell() as here:
        here.type("%unload_ext nbauth")
        here.shell.config.NbAuth.timeout = "soon"
        for _ in range(2):
            assert "timeout (%config NbAuth) cannot be 'soon'" in here.type("%load_ext nbauth")
        here.shell.config.pop("NbAuth", None)
        assert here.type("%load_ext nbauth") == ""
