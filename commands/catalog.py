"""Every command of the product: what the prompt, `help` and completion know.

A module is loaded when one of its commands is used for the first time, so that the start does not grow with the commands.
"""

from __future__ import annotations

import asyncio
from importlib import import_module

from commands.help import help_command
from commands.registry import Registry

MODULES = {
    "alertconfig": "alertconfig",
    "bounceconfig": "bounceconfig",
    "certconfig": "certconfig",
    "commit": "commit commitdetail showchanges clear clearchanges",
    "daneverify": "daneverify",
    "deliveryconfig": "deliveryconfig",
    "destconfig": "destconfig",
    "displayalerts": "displayalerts",
    "dnsconfig": "dnsconfig",
    "exit": "exit quit q",
    "findevent": "findevent",
    "grep": "grep",
    "hoststatus": "hoststatus tophosts hostrate",
    "injection": "topin rate",
    "interfaceconfig": "interfaceconfig",
    "ldapconfig": "ldapconfig",
    "ldaptest": "ldaptest ldapflush",
    "listenerconfig": "listenerconfig",
    "passphrase": "passphrase passwd password",
    "print_": "print",
    "queue_commands": "showrecipients deleterecipients bouncerecipients delivernow oldmessage showmessage removemessage",
    "rollbackconfig": "rollbackconfig",
    "rollovernow": "rollovernow",
    "sethostname": "sethostname",
    "setttymode": "setttymode",
    "settz": "settz",
    "smtproutes": "smtproutes",
    "sshconfig": "sshconfig",
    "sslconfig": "sslconfig",
    "status": "status resetcounters",
    "suspending": "suspend suspendlistener suspenddel resume resumelistener resumedel shutdown",
    "tail": "tail",
    "tlsverify": "tlsverify",
    "updateconfig": "updateconfig",
    "updatenow": "updatenow",
    "version": "version date",
    "who": "who whoami last",
    "workqueue": "workqueue",
}
"""module of this package: names and aliases of its commands, which it has as COMMAND or COMMANDS"""
LOAD_AFTER = 2.0
"""seconds after the start"""


def catalog() -> Registry:
    """The table of all commands."""
    registry = Registry(modules={name: f"commands.{module}" for module, names in MODULES.items() for name in names.split()})
    registry.add([help_command(registry)])
    return registry


async def load_soon() -> None:
    """Load all modules in a thread, so that no command makes mail wait when it is used for the first time."""
    await asyncio.sleep(LOAD_AFTER)
    for module in MODULES:
        await asyncio.to_thread(import_module, f"commands.{module}")
