"""The host keys of the SSH server: Ed25519 and RSA 3072, made at the first start and kept sealed (users-and-access.md 5)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

import asyncssh

from appliance_runtime.vault import SealedFiles

RSA_BITS = 3072


def _path(directory: Path, algorithm: str) -> Path:
    return directory / f"ssh_host_{algorithm}_key"


def _stored(path: Path, files: SealedFiles) -> asyncssh.SSHKey | None:
    content = files.read(path)
    return None if content is None else asyncssh.import_private_key(content)


def _kept(path: Path, files: SealedFiles, key: asyncssh.SSHKey) -> asyncssh.SSHKey:
    files.write(path, key.export_private_key("pkcs8-pem"))
    return key


def first_key(directory: Path, files: SealedFiles) -> asyncssh.SSHKey:
    """The Ed25519 key, which is made at once."""
    path = _path(directory, "ed25519")
    return _stored(path, files) or _kept(path, files, asyncssh.generate_private_key("ssh-ed25519"))


async def second_key(directory: Path, files: SealedFiles, *, after: float = 0.0) -> asyncssh.SSHKey:
    """The RSA key. Making it takes up to some seconds, in a thread for which the end of the process does not wait.

    `after`: seconds before it begins, so that it does not compete with the start of a session.
    """
    path = _path(directory, "rsa")
    if (key := _stored(path, files)) is not None:
        return key
    await asyncio.sleep(after)
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
    return _kept(path, files, await made)
