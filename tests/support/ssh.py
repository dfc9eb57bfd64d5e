"""An SSH server on a free loopback port and clients for it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import attrs
from attrs import define

from appliance_runtime.services import Endpoint
from asyncos_shell.ssh_server import SshServer
from commands.registry import Registry
from tests.support.edge import EdgeAppliance, make_edge


@define
class Service:
    """A running SSH service, and the key with which `admin` logs in."""

    appliance: EdgeAppliance
    server: SshServer
    port: int
    key: asyncssh.SSHKey
    key_file: Path

    @asynccontextmanager
    async def connected(self, **options: Any) -> AsyncIterator[asyncssh.SSHClientConnection]:
        values: dict[str, Any] = {
            "port": self.port,
            "username": "admin",
            "client_keys": [self.key],
            "known_hosts": None,
            "config": None,
            "agent_path": None,
        }
        async with asyncssh.connect("127.0.0.1", **{**values, **options}) as connection:
            yield connection

    @property
    def idle(self) -> bool:
        """Nothing is left of any session."""
        return not self.appliance.sessions.open and not self.server._tasks and not self.appliance.accounts.logins.open

    async def run_ssh(self, *arguments: str, options: Sequence[str] = (), stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """(status, output, errors) of the OpenSSH client."""
        command = ["ssh", *client_options(self.key_file), "-p", str(self.port), *options, "admin@127.0.0.1", *arguments]
        return await run(command, stdin)


def client_options(key_file: Path) -> list[str]:
    settings = {
        "IdentityFile": key_file,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "BatchMode": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
    }
    return ["-F", "/dev/null", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]


async def run(command: Sequence[str], stdin: bytes = b"", *, env: dict[str, str] | None = None) -> tuple[int, bytes, bytes]:
    """(status, output, errors) of a program."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    async with asyncio.timeout(30):
        output, errors = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, output, errors


def listening() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    return sock


@asynccontextmanager
async def ssh_service(root: Path, registry: Registry) -> AsyncIterator[Service]:
    appliance = make_edge(root / "state")
    key = asyncssh.generate_private_key("ssh-ed25519")
    key_file = root / "id_ed25519"
    key.write_private_key(key_file)
    key_file.chmod(0o600)
    line = key.export_public_key().decode().strip()
    appliance.set_user(attrs.evolve(appliance.config.users["admin"], authorized_keys=frozenset({line})))
    server = SshServer(appliance, registry)  # type: ignore[arg-type]
    sock = listening()
    port = sock.getsockname()[1]
    accepting = await server.accept_on(Endpoint("ssh", "Management", "interface-1", "192.168.42.42", 22), sock)
    try:
        yield Service(appliance, server, port, key, key_file)
    finally:
        accepting.close()
        server.close()
        await server.stop(1.0)
        appliance.directory.unlock()
