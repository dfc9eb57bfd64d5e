"""Postfix as the other server: stock settings and durability (fsync before 250), an instance of its own on loopback ports.

Not stock: no delay of fast senders (`in_flow_delay`), and no reverse look-up of the client, as on the other side.
`held`: what keeps mail from being delivered.
  defer   Postfix's own way to suspend delivery (`defer_transports`): the queue manager defers each message
  silent  the same destination as on the other side, which never greets, over one connection: mail is scheduled and waits
  hold    the hold queue: Postfix does nothing but accept
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bench.inbound.certificates import KEYS
from bench.inbound.servers import Server, free_port

Held = Literal["defer", "silent", "hold"]

SERVICES = """
relay unix - - n - - smtp
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def postfix(certificates: Path, silent: int, held: Held) -> Iterator[Server]:
    """`silent`: port of the destination. Needs root, as Postfix does."""
    if os.geteuid() != 0:
        raise SystemExit("Postfix must be started by root.")
    root = Path(tempfile.mkdtemp(prefix="bench-postfix-"))
    root.chmod(0o755)
    for name in ("etc", "spool", "data"):
        (root / name).mkdir()
    shutil.chown(root / "data", "postfix")
    for name in KEYS:
        for suffix in ("pem", "key"):
            shutil.copy(certificates / f"{name}.{suffix}", root / "etc")
    (root / "etc" / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.bench.test
mydestination =
relay_domains = bench.test
relayhost = [127.0.0.1]:{silent}
relay_destination_concurrency_limit = 1
defer_transports = {"relay" if held == "defer" else ""}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = reject_unauth_destination{", check_recipient_access static:HOLD" if held == "hold" else ""}
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtpd_peername_lookup = no
maillog_file = {root}/log
maillog_file_prefixes = {root}
alias_maps =
in_flow_delay = 0
""")
    ports = {name: free_port() for name in KEYS}
    services = "".join(
        f"127.0.0.1:{port} inet n - n - - smtpd -o smtpd_tls_cert_file={root}/etc/{name}.pem -o smtpd_tls_key_file={root}/etc/{name}.key\n"
        for name, port in ports.items()
    )
    (root / "etc" / "master.cf").write_text(services + SERVICES)
    _run(root, "postfix", "start")
    try:
        pid = int((root / "spool" / "pid" / "master.pid").read_text())
        yield Server("Postfix", pid, {"": ports["rsa"], **ports}, lambda: _run(root, "postsuper", "-d", "ALL"))
    finally:
        _run(root, "postfix", "stop")
        shutil.rmtree(root, ignore_errors=True)


def _run(root: Path, program: str, *words: str) -> None:
    subprocess.run([program, "-c", str(root / "etc"), *words], check=True, capture_output=True)
