"""Every command of the product: what the prompt, `help` and completion know."""

from __future__ import annotations

from commands import (
    alertconfig,
    bounceconfig,
    certconfig,
    commit,
    daneverify,
    deliveryconfig,
    destconfig,
    displayalerts,
    dnsconfig,
    exit,
    findevent,
    grep,
    hoststatus,
    injection,
    interfaceconfig,
    listenerconfig,
    passphrase,
    print_,
    queue_commands,
    rollbackconfig,
    rollovernow,
    sethostname,
    setttymode,
    settz,
    smtproutes,
    sshconfig,
    sslconfig,
    status,
    suspending,
    tail,
    tlsverify,
    updateconfig,
    updatenow,
    version,
    who,
    workqueue,
)
from commands.help import help_command
from commands.registry import Registry


def catalog() -> Registry:
    """The table of all commands."""
    registry = Registry()
    registry.add(
        [
            alertconfig.COMMAND,
            bounceconfig.COMMAND,
            certconfig.COMMAND,
            *commit.COMMANDS,
            daneverify.COMMAND,
            deliveryconfig.COMMAND,
            destconfig.COMMAND,
            displayalerts.COMMAND,
            dnsconfig.COMMAND,
            exit.COMMAND,
            findevent.COMMAND,
            grep.COMMAND,
            *hoststatus.COMMANDS,
            *injection.COMMANDS,
            interfaceconfig.COMMAND,
            listenerconfig.COMMAND,
            passphrase.COMMAND,
            print_.COMMAND,
            *queue_commands.COMMANDS,
            rollbackconfig.COMMAND,
            rollovernow.COMMAND,
            sethostname.COMMAND,
            setttymode.COMMAND,
            settz.COMMAND,
            smtproutes.COMMAND,
            sshconfig.COMMAND,
            sslconfig.COMMAND,
            *status.COMMANDS,
            *suspending.COMMANDS,
            tail.COMMAND,
            tlsverify.COMMAND,
            updateconfig.COMMAND,
            updatenow.COMMAND,
            *version.COMMANDS,
            who.WHO,
            who.WHOAMI,
            who.LAST,
            workqueue.COMMAND,
        ]
    )
    registry.add([help_command(registry)])
    return registry
