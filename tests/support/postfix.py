"""A real Postfix of its own: own directories, loopback ports, one virtual mailbox."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

NOBODY = pwd.getpwnam("nobody")


@frozen
class Postfix:
    port: int
    mailbox: Path
    """the messages that were delivered, in mbox form"""
    log: Path

    def mail(self) -> str:
        return self.mailbox.read_text(errors="replace") if self.mailbox.exists() else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def postfix(domain: str, certificate: Path, key: Path, level: str = "may") -> Iterator[Postfix]:
    """Takes mail for `domain`; `level`: smtpd_tls_security_level. Needs root, as Postfix does."""
    if os.geteuid() != 0:
        raise RuntimeError("Postfix must be started by root.")
    root = Path(tempfile.mkdtemp(prefix="postfix-", dir="/tmp"))
    root.chmod(0o755)
    config, queue, data, mail = (root / name for name in ("etc", "spool", "data", "mail"))
    for folder in (config, queue, data, mail):
        folder.mkdir()
    shutil.chown(data, "postfix")
    os.chown(mail, NOBODY.pw_uid, NOBODY.pw_gid)
    log = root / "log"
    port = free_port()
    for source, target in ((certificate, "cert.pem"), (key, "key.pem")):
        shutil.copy(source, config / target)
    (config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
mail_owner = postfix
setgid_group = postdrop
myhostname = mx1.{domain}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {mail}
virtual_mailbox_maps = static:inbox
virtual_uid_maps = static:{NOBODY.pw_uid}
virtual_gid_maps = static:{NOBODY.pw_gid}
virtual_minimum_uid = 1
smtpd_tls_security_level = {level}
smtpd_tls_cert_file = {config}/cert.pem
smtpd_tls_key_file = {config}/key.pem
smtpd_tls_received_header = yes
smtpd_tls_ask_ccert = yes
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
maillog_file = {log}
maillog_file_prefixes = {root}
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
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
""")
    subprocess.run(["postfix", "-c", str(config), "start"], check=True, capture_output=True)
    try:
        yield Postfix(port, mail / "inbox", log)
    finally:
        subprocess.run(["postfix", "-c", str(config), "stop"], check=False, capture_output=True)
        shutil.rmtree(root, ignore_errors=True)
