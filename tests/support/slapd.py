"""A real OpenLDAP server of its own: own directory, two loopback ports, one entry with a passphrase."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.support.outside import free_port

BASE, USER, PASSPHRASE = "dc=example,dc=test", "cn=esa,dc=example,dc=test", "tr0ub4dor"
_BINARY = "/usr/sbin/slapd"
_CONFIG = """\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
argsfile {folder}/args
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.pem
TLSCACertificateFile {folder}/clients.pem
TLSVerifyClient {verify}
database mdb
suffix "{base}"
rootdn "{user}"
rootpw {passphrase}
directory {folder}/data
maxsize 16777216
access to * by * read
"""
_ENTRY = """\
dn: {base}
objectClass: dcObject
objectClass: organization
dc: example
o: Example
"""


@frozen
class Slapd:
    port: int
    tls_port: int


@contextmanager
def slapd(folder: Path, identity: bytes, *, clients: str, verify: str = "never") -> Iterator[Slapd]:
    """`identity`: certificate, chain and key, PEM. `clients`: authorities of client certificates; `verify`: never, allow, demand."""
    (folder / "data").mkdir(parents=True)
    (folder / "server.pem").write_bytes(identity)
    (folder / "clients.pem").write_text(clients)
    config = folder / "slapd.conf"
    config.write_text(_CONFIG.format(folder=folder, verify=verify, base=BASE, user=USER, passphrase=PASSPHRASE))
    entry = _ENTRY.format(base=BASE)
    subprocess.run([_BINARY, "-T", "add", "-f", config], input=entry.encode(), check=True, capture_output=True, timeout=60)
    place = Slapd(free_port(), free_port())
    urls = f"ldap://127.0.0.1:{place.port}/ ldaps://127.0.0.1:{place.tls_port}/"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([_BINARY, "-d", "256", "-f", config, "-h", urls], stdout=log, stderr=log)
    try:
        for port in (place.port, place.tls_port):
            _wait_for(port, process, folder / "log")
        yield place
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it listens, which it does some time after it has said so."""
    ends = time.monotonic() + 30
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None and time.monotonic() < ends, log.read_text(errors="replace")
        time.sleep(0.01)
