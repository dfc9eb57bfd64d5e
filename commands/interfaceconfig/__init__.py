"""interfaceconfig: IP interfaces, their services and groups (interfaceconfig.md).

`questions` what NEW and EDIT ask, `operations` the menu, `groups` the menu GROUPS, `batch` the command line.
"""

from commands.interfaceconfig.batch import USAGE, batch
from commands.interfaceconfig.operations import menu
from commands.registry import Command

COMMAND = Command(
    "interfaceconfig",
    "Configure IP interfaces.",
    dialog=menu.run,
    batch=batch,
    needs_commit=True,
    usage=USAGE,
)
