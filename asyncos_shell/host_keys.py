"""The host keys of the SSH server: Ed25519 and RSA 3072, made at the first start and kept (users-and-access.md 5)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

import asyncssh

from appliance_runtime.state_directory import write_private

RSA_BITS = 3072


def _path(directory: Path, algorithm: str) -> Path:
    return directory / f"ssh_host_{algorithm}_key"


def _stored(path: Path) -> asyncssh.SSHKey | None:
    return asyncssh.import_private_key(path.read_bytes()) if path.exists() else None


def _kept(path: Path, key: asyncssh.SSHKey) -> asyncssh.SSHKey:
    write_private(path, key.export_private_key("pkcs8-pem"))
    return key


def first_key(directory: Path) -> asyncssh.SSHKey:
    """The Ed25519 key, which is made at once."""
    path = _path(directory, "ed25519")
    return _stored(path) or _kept(path, asyncssh.generate_private_key("ssh-ed25519"))


async def second_key(directory: Path) -> asyncssh.SSHKey:
    """The RSA key. Making it takes up to some seconds, in a thread for which the end of the process does not wait."""
    path = _path(directory, "rsa")
    if (key := _stored(path)) is not None:
        return key
    loop = asyncio.get_running_loop()
    made: asyncio.Future[asyncssh.SSHKey] = loop.create_future()

    def deliver(key: asyncssh.SSHKey) -> None:
        if not made.done():
            made.set_result(key)

    def make() -> None:
        key = asyncssh.generate_private_key("ssh-rsa", key_size=RSA_BITS)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(deliver, key)

    threading.Thread(target=make, name="ssh host key", daemon=True).start()
    return _kept(path, await made)
