"""listenerconfig: listeners, their limits and certificate, host access and recipient access (listenerconfig.md).

`menu` the top menu, `new` NEW, `edit` EDIT with its sub-menus `hostaccess` (`sendergroup`, `entries`, `parameters`),
`recipients` and `domain_map`, `global_setup` SETUP, `batch` and `hat_batch` the command line, `listings` what is shown.
"""

from commands.listenerconfig.batch import USAGE, batch
from commands.listenerconfig.listings import listener_rows, summary
from commands.listenerconfig.menu import menu
from commands.registry import Command

__all__ = ["COMMAND", "listener_rows", "summary"]

COMMAND = Command(
    "listenerconfig",
    "Configure mail listeners.",
    dialog=menu.run,
    batch=batch,
    needs_commit=True,
    usage=USAGE,
)
