"""A real Postfix that sends: it takes mail on a loopback port and delivers it by DNS, with a resolver of its own.

Postfix asks the resolver of the system. It therefore runs in a mount namespace of its own, in which that is another one.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import frozen

from tests.support.postfix import free_port

_RELAY = re.compile(r"postfix/smtp\[(\d+)\]: (\w+) TLS connection established to (\S+?)\[")
_STATUS = re.compile(r"postfix/(?:smtp|error|bounce)\[\d+\]: \w+: to=<([^>]+)>, .*?status=(\w+)(?: \((.*)\))?")


@frozen
class Sent:
    """What became of a message. `status`: sent, deferred or bounced; `trust`: Verified, Trusted, Untrusted, Anonymous, or empty."""

    status: str
    trust: str
    text: str


@frozen
class Sender:
    port: int
    log: Path

    def send(self, recipient: str, body: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.sendmail("alice@sender.example", [recipient], body)

    def sent(self) -> dict[str, Sent]:
        """By recipient, as the log tells it so far: the first attempt of each."""
        trust: dict[str, str] = {}
        found: dict[str, Sent] = {}
        for line in self.log.read_text(errors="replace").splitlines() if self.log.exists() else []:
            if (match := _RELAY.search(line)) is not None:
                trust[match[3]] = match[2]
            elif (match := _STATUS.search(line)) is not None and match[1] not in found:
                relay = re.search(r"relay=(\S+?)\[", line)
                used = trust.get(relay[1], "") if relay and match[2] == "sent" else ""
                found[match[1]] = Sent(match[2], used, match[3] or "")
        return found

    async def until(self, recipients: set[str], limit: float = 90) -> dict[str, Sent]:
        try:
            async with asyncio.timeout(limit):
                while not recipients <= self.sent().keys():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            missing = recipients - self.sent().keys()
            raise AssertionError(f"{missing}\n{self.log.read_text(errors='replace')}") from None
        return self.sent()


def _prepare(level: str, name_server: str, authorities: str) -> tuple[Path, int]:
    """Its folder, and the port on which it takes mail."""
    root = Path(tempfile.mkdtemp(prefix="postfix-", dir="/tmp"))
    root.chmod(0o755)
    config, queue, data = (root / name for name in ("etc", "spool", "data"))
    for folder in (config, queue, data):
        folder.mkdir()
    shutil.chown(data, "postfix")
    port = free_port()
    (root / "resolv.conf").write_text(f"nameserver {name_server}\noptions edns0 trust-ad timeout:3 attempts:2\n")
    (root / "authorities.pem").write_text(authorities)
    (config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
mail_owner = postfix
setgid_group = postdrop
myhostname = sender.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtp_dns_support_level = dnssec
smtp_host_lookup = dns
smtp_tls_security_level = {level}
smtp_tls_loglevel = 1
smtp_tls_CAfile = {root}/authorities.pem
smtp_connect_timeout = 5s
smtp_helo_timeout = 10s
smtp_starttls_timeout = 10s
maillog_file = {root}/log
maillog_file_prefixes = {root}
notify_classes =
alias_maps =
in_flow_delay = 0
""")
    (config / "master.cf").write_text(f"""
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
smtp unix - - n - 20 smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
""")
    return root, port


@asynccontextmanager
async def sending_postfix(level: str, name_server: str, authorities: str) -> AsyncIterator[Sender]:
    """`level`: smtp_tls_security_level; `authorities`: PEM of what it trusts. Needs root."""
    root, port = await asyncio.to_thread(_prepare, level, name_server, authorities)
    config = root / "etc"
    start = f'mount --bind "{root}/resolv.conf" /etc/resolv.conf && exec postfix -c "{config}" start'
    await asyncio.to_thread(subprocess.run, ["unshare", "--mount", "sh", "-c", start], check=True, capture_output=True, timeout=60)
    try:
        yield Sender(port, root / "log")
    finally:
        await asyncio.to_thread(subprocess.run, ["postfix", "-c", str(config), "stop"], check=False, capture_output=True, timeout=60)
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)
