"""ldapconfig: server profiles of directories, and the certificate that is presented to them (ldapconfig.md).

`questions` what is asked about a server, `operations` the menu, `editing` the menus of EDIT, `batch` the command line.
"""

from commands.ldapconfig.batch import USAGE, batch
from commands.ldapconfig.operations import menu
from commands.registry import Command

COMMAND = Command(
    "ldapconfig",
    "Configure LDAP servers.",
    dialog=menu.run,
    batch=batch,
    needs_commit=True,
    usage=USAGE,
)
