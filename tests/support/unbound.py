"""A real unbound of its own: a validating resolver on a loopback port in front of a lab name server."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import dns.message

from appliance_runtime.dns.transport import exchange
from asyncos_shell.lab.dns_server import LabDns
from tests.support.postfix import free_port

CONFIG = """\
server:
    interface: {listen}@{port}
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


@asynccontextmanager
async def unbound(lab: LabDns, now: datetime, listen: str = "127.0.0.1", port: int | None = None) -> AsyncIterator[int]:
    """The port of an unbound that asks `lab` and believes that it is `now`."""
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="unbound-") as name:
        folder = Path(name)
        (folder / "root.key").write_text(lab.trust_anchor)
        config, log = folder / "unbound.conf", folder / "log"
        config.write_text(CONFIG.format(listen=listen, port=port, folder=folder, now=now, address=lab.address, upstream=lab.port))
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec("unbound", "-d", "-p", "-c", str(config), stdout=output, stderr=output)
        try:
            await _until_it_answers((listen, port), process, log)
            yield port
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _until_it_answers(server: tuple[str, int], process: asyncio.subprocess.Process, log: Path) -> None:
    question = dns.message.make_query("localhost.", "A")
    for _ in range(200):
        assert process.returncode is None, _said(log)
        try:
            await exchange(question, server, limit=0.5)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            return
    raise AssertionError(_said(log))


def _said(log: Path) -> str:
    return log.read_text()
