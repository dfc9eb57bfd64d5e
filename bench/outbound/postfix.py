"""Postfix as the other server: stock settings and durability, an instance of its own on a loopback port.

Not stock: no delay of fast senders (`in_flow_delay`), no reverse look-up of the client, as on the other side, and every message
goes to the sink. `single` switches off the reuse that Postfix makes of busy destinations. A queue is filled while there is no
queue manager yet; then it finds all messages as incoming ones.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.inbound.servers import free_port
from bench.outbound.scenarios import Scenario
from bench.outbound.servers import DOMAIN, Running, send

QUEUE_MANAGER = "qmgr unix n - n 300 1 qmgr\n"
SERVICES = """
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
relay unix - - n - - smtp
scache unix - - n - 1 scache
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Needs root, as Postfix does."""

    name = "Postfix"

    @contextmanager
    def full(self, scenario: Scenario, port: int, messages: int) -> Iterator[Running]:
        with _instance(scenario, port, "") as (root, running):
            send(Scenario(kind="deliver", reuse=True, size=scenario.size), running.port, messages)
            with (root / "etc" / "master.cf").open("a") as table:
                table.write(QUEUE_MANAGER)
            _run(root, "postfix", "reload")
            yield running

    @contextmanager
    def empty(self, scenario: Scenario, port: int) -> Iterator[Running]:
        with _instance(scenario, port, QUEUE_MANAGER) as (_, running):
            yield running


@contextmanager
def _instance(scenario: Scenario, target: int, more: str) -> Iterator[tuple[Path, Running]]:
    if os.geteuid() != 0:
        raise SystemExit("Postfix must be started by root.")
    root = Path(tempfile.mkdtemp(prefix="bench-postfix-"))
    root.chmod(0o755)
    for name in ("etc", "spool", "data"):
        (root / name).mkdir()
    shutil.chown(root / "data", "postfix")
    port = free_port()
    (root / "etc" / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.{DOMAIN}
mydestination =
relay_domains = {DOMAIN}
relayhost = [127.0.0.1]:{target}
relay_transport = smtp:[127.0.0.1]:{target}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
smtp_tls_security_level = {"encrypt" if scenario.tls else "none"}
smtp_connection_cache_on_demand = {"yes" if scenario.reuse else "no"}
maillog_file = {root}/log
maillog_file_prefixes = {root}
alias_maps =
in_flow_delay = 0
""")
    (root / "etc" / "master.cf").write_text(f"127.0.0.1:{port} inet n - n - - smtpd\n{SERVICES}{more}")
    _run(root, "postfix", "start")
    try:
        yield root, Running(int((root / "spool" / "pid" / "master.pid").read_text()), port)
    finally:
        _run(root, "postfix", "stop")
        shutil.rmtree(root, ignore_errors=True)


def _run(root: Path, program: str, *words: str) -> None:
    subprocess.run([program, "-c", str(root / "etc"), *words], check=True, capture_output=True)
