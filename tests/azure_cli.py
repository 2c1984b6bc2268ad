"""A substitute for the Azure CLI: it accepts the documented arguments only, and writes them down.

Run as ``az``. The grammar is that of "az ad app", "az ad sp", "az login" and "az cloud"
(learn.microsoft.com/cli/azure). ``AZ_LOG`` names the file to which each call is added as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys

GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
MADE = "99999999-8888-7777-6666-555555555555"
GRAPH = "00000003-0000-0000-c000-000000000000"
SCOPE = "e1fe6dd8-ba31-4d61-89e7-88639da4683d"
AUDIENCES = (
    "AzureADMyOrg",
    "AzureADMultipleOrgs",
    "AzureADandPersonalMicrosoftAccount",
    "PersonalMicrosoftAccount",
)
MANY = {"nargs": "+"}
APP = {
    "--is-fallback-public-client": {"choices": ("true", "false")},
    "--sign-in-audience": {"choices": AUDIENCES},
    "--public-client-redirect-uris": MANY,
    "--web-redirect-uris": MANY,
    "--identifier-uris": MANY,
}
ID = {"--id": {"required": True}}
COMMANDS = {
    "ad app create": {"--display-name": {"required": True}, **APP},
    "ad app update": {**ID, "--display-name": {}, **APP},
    "ad app permission add": {
        **ID,
        "--api": {"required": True},
        "--api-permissions": {"nargs": "+", "required": True},
    },
    "ad app permission admin-consent": ID,
    "ad app credential reset": {
        **ID,
        "--append": {"action": "store_true"},
        "--cert": {},
        "--display-name": {},
        "--years": {"type": int},
    },
    "ad app federated-credential create": {**ID, "--parameters": {"required": True}},
    "ad sp create": ID,
    "ad sp show": ID,
    "cloud set": {"--name": {"choices": ("AzureCloud", "AzureUSGovernment", "AzureChinaCloud")}},
    "login": {"--tenant": {}, "--allow-no-subscriptions": {"action": "store_true"}},
}


def parsed(words: list[str]) -> tuple[str, dict[str, object]]:
    """The command and its arguments. Ends the process for what the Azure CLI does not take."""
    for command in sorted(COMMANDS, key=len, reverse=True):
        named = command.split()
        if words[: len(named)] == named:
            break
    else:
        sys.exit(f"az: there is no such command: {words}")
    parser = argparse.ArgumentParser(f"az {command}", allow_abbrev=False)
    for option, form in COMMANDS[command].items():
        parser.add_argument(option, **form)  # type: ignore[arg-type]
    parser.add_argument("--query")
    parser.add_argument("--output", "-o", choices=("tsv", "json"))
    return command, vars(parser.parse_args(words[len(named) :]))


def checked(command: str, given: dict[str, object]) -> str:
    """Check the values as the service does; gives the output."""
    if "app_id" in str(given).lower():
        sys.exit(f"az: a variable was not replaced: {given}")
    if command == "ad app permission add":
        assert re.fullmatch(GUID, str(given["api"])), given
        for permission in given["api_permissions"]:  # type: ignore[attr-defined]
            assert re.fullmatch(rf"{GUID}=(Scope|Role)", permission), given
    if command == "ad app federated-credential create":
        credential = json.loads(str(given["parameters"]))
        assert {"name", "issuer", "subject", "audiences"} == set(credential), credential
    if command == "ad app credential reset" and given["cert"]:
        name = str(given["cert"])
        assert name.startswith("@"), given
        with open(name[1:], encoding="ascii") as file:
            text = file.read()
        assert "BEGIN CERTIFICATE" in text
        assert "PRIVATE KEY" not in text
    if command == "ad sp show":
        if given["query"] == "appId":
            return GRAPH
        if given["query"]:
            value = re.fullmatch(
                r"oauth2PermissionScopes\[\?value=='([\w.]+)'\]\.id", given["query"]
            )  # type: ignore[call-overload]
            assert value, given
            return SCOPE
        sys.exit(3)  # it does not exist yet
    return MADE if given.get("query") == "appId" else "{}"


def main() -> None:
    """Take one command line."""
    command, given = parsed(sys.argv[1:])
    with open(os.environ["AZ_LOG"], "a", encoding="utf-8") as log:
        given_here = {name: value for name, value in given.items() if value not in (None, False)}
        log.write(json.dumps([command, given_here]) + "\n")
    print(checked(command, given))


if __name__ == "__main__":
    main()
