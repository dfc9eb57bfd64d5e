"""A real unbound of its own: a validating resolver on a loopback port in front of a lab name server."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from asyncos_shell.lab.dns_server import LabDns
from tests.support.postfix import free_port

CONFIG = """\
server:
    interface: 127.0.0.1@{port}
    do-ip6: no
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    verbosity: 1
    log-queries: no
    val-log-level: 2
    module-config: "validator iterator"
    trust-anchor-file: "{folder}/root.key"
    val-override-date: "{now:%Y%m%d%H%M%S}"
    do-not-query-localhost: no
    num-threads: 1
    access-control: 127.0.0.0/8 allow
    local-zone: "test." nodefault
    local-zone: "example." nodefault
    aggressive-nsec: no
    harden-below-nxdomain: no
forward-zone:
    name: "."
    forward-addr: {address}@{upstream}
remote-control:
    control-enable: no
"""


@contextmanager
def unbound(lab: LabDns, now: datetime) -> Iterator[int]:
    """The port of an unbound that asks `lab` and believes that it is `now`."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="unbound-") as name:
        folder = Path(name)
        (folder / "root.key").write_text(lab.trust_anchor)
        config = folder / "unbound.conf"
        config.write_text(CONFIG.format(port=port, folder=folder, now=now, address=lab.address, upstream=lab.port))
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(["unbound", "-d", "-p", "-c", str(config)], stdout=output, stderr=output)
        try:
            _until_it_answers(port, process, log)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    question = dns.message.make_query("localhost.", "A")
    for _ in range(100):
        assert process.poll() is None, log.read_text()
        try:
            dns.query.udp(question, "127.0.0.1", port=port, timeout=0.1)
        except (dns.exception.Timeout, OSError):
            time.sleep(0.01)
        else:
            return
    raise AssertionError(log.read_text())
