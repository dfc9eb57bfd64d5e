"""The table of all commands, and the names that are known but absent (conventions.md 12)."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from asyncos_shell.absent import absent
from commands.catalog import MODULES, catalog
from commands.registry import Command

COMMANDS = catalog().listed()
NAMES = """
alertconfig bounceconfig bouncerecipients certconfig clear commit commitdetail daneverify date deleterecipients
delivernow deliveryconfig destconfig displayalerts dnsconfig exit findevent grep help hostrate hoststatus
interfaceconfig last ldapconfig ldapflush ldaptest listenerconfig oldmessage passphrase print rate removemessage resetcounters resume resumedel
resumelistener rollbackconfig rollovernow sethostname settz showchanges showmessage showrecipients shutdown smtproutes
sshconfig sslconfig status suspend suspenddel suspendlistener tail tlsverify tophosts topin updateconfig updatenow
version who whoami workqueue
"""


def test_the_commands_of_this_product() -> None:
    assert [command.name for command in COMMANDS] == NAMES.split()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_the_commands_that_the_table_says(module: str) -> None:
    loaded = import_module(f"commands.{module}")
    commands = getattr(loaded, "COMMANDS", None) or [loaded.COMMAND]
    assert {name for command in commands for name in (command.name, *command.aliases)} == set(MODULES[module].split())


def test_a_command_is_loaded_when_it_is_used() -> None:
    registry = catalog()
    assert registry.modules["clearchanges"] == "commands.commit"
    assert (found := registry.find("ClearChanges")) is not None and found.name == "clear"
    assert "commit" not in registry.modules and "destconfig" in registry.modules
    assert {"commit", "destconfig", "help", "?", "q"} <= set(registry.names)


def test_one_command_is_understood_and_not_listed() -> None:
    assert catalog().find("setttymode") is not None
    assert not absent("setttymode")


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("quit", "exit"),
        ("q", "exit"),
        ("h", "help"),
        ("?", "help"),
        ("passwd", "passphrase"),
        ("password", "passphrase"),
        ("clearchanges", "clear"),
    ],
)
def test_second_names(alias: str, name: str) -> None:
    found = catalog().find(alias.upper())
    assert found is not None and found.name == name


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_describes_itself(command: Command) -> None:
    assert re.fullmatch(r"[a-z]+", command.name)
    assert re.fullmatch(r"[A-Z].{5,80}", command.summary)
    assert not absent(command.name)
    assert not command.usage or command.usage.startswith(command.name)


@pytest.mark.parametrize("name", ["trace", "TRACE", "setgateway", "ntpconfig", "antispamconfig"])
def test_known_but_absent(name: str) -> None:
    assert absent(name)


@pytest.mark.parametrize("name", ["clustermode", "nosuch", "", "certconfig"])
def test_not_known_as_absent(name: str) -> None:
    assert not absent(name)
