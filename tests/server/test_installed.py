"""Installing the package enables the extension."""

from __future__ import annotations

import json
from importlib import metadata

from jupyter_server.extension.manager import ExtensionManager, ExtensionPackage

ENABLING = "etc/jupyter/jupyter_server_config.d/nbauth.json"


def test_the_enabling_file_is_installed():
    files = metadata.files("nbauth") or []
    found = [file for file in files if str(file).endswith(ENABLING)]
    assert found, "not there: install the package again (make setup)"
    enabled = json.loads(found[0].read_text())
    assert enabled == {"ServerApp": {"jpserver_extensions": {"nbauth.server": True}}}


def test_the_server_finds_what_the_file_names():
    package = ExtensionPackage(name="nbauth.server", enabled=True)
    assert package.validate()
    assert "nbauth.server" in package.extension_points
    manager = ExtensionManager()
    assert manager.add_extension("nbauth.server", enabled=True)
