"""Real validating resolvers of their own on loopback ports, in front of a lab name server: unbound and BIND."""

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

UNBOUND = """\
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

NAMED = """\
options {{
    directory "{folder}";
    pid-file "{folder}/pid";
    session-keyfile "{folder}/session.key";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    forward only;
    forwarders {{ {address} port {upstream}; }};
    dnssec-validation yes;
    empty-zones-enable no;
}};
controls {{ }};
trust-anchors {{ . static-ds {anchor}; }};
"""


@asynccontextmanager
async def unbound(lab: LabDns, now: datetime, listen: str = "127.0.0.1", port: int | None = None) -> AsyncIterator[int]:
    """The port of an unbound that asks `lab` and believes that it is `now`."""
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="unbound-") as folder:
        (Path(folder) / "root.key").write_text(lab.trust_anchor)
        text = UNBOUND.format(listen=listen, port=port, folder=folder, now=now, address=lab.address, upstream=lab.port)
        async with _running(["unbound", "-d", "-p", "-c"], Path(folder), text, (listen, port)):
            yield port


@asynccontextmanager
async def named(lab: LabDns) -> AsyncIterator[int]:
    """The port of a BIND that asks `lab`. It goes by the clock of the machine."""
    *_, tag, algorithm, digest_type, digest = lab.trust_anchor.split()
    with tempfile.TemporaryDirectory(prefix="named-") as folder:
        port = free_port()
        anchor = f'{tag} {algorithm} {digest_type} "{digest}"'
        text = NAMED.format(port=port, folder=folder, address=lab.address, upstream=lab.port, anchor=anchor)
        async with _running(["named", "-g", "-c"], Path(folder), text, ("127.0.0.1", port)):
            yield port


@asynccontextmanager
async def _running(command: list[str], folder: Path, text: str, server: tuple[str, int]) -> AsyncIterator[None]:
    config, log = folder / "config", folder / "log"
    config.write_text(text)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, str(config), stdout=output, stderr=output)
    try:
        await _until_it_answers(server, process, log)
        yield
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
