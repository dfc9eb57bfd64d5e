"""What a commit means for open sessions, and what a stop leaves (conventions.md 15; users-and-access.md 2)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncssh
import attrs
import pytest

from appliance_runtime.commit import Author
from appliance_runtime.options import StartOptions
from appliance_state.model.users import User
from asyncos_shell.running import Running
from tests.support.wire import until

PROMPT = b"mail.example.com> "


async def start(root: Path) -> tuple[Running, asyncssh.SSHKey]:
    running = await Running.start(StartOptions(state=root / "state", maps=("auto",), passphrase="of the first start"))
    key = asyncssh.generate_private_key("ssh-ed25519")
    user = User(name="bob", authorized_keys=frozenset({key.export_public_key().decode().strip()}))
    await change(running, user)
    return running, key


async def change(running: Running, user: User) -> None:
    config = running.appliance.running()[1]
    await running.appliance.change_now(config.with_(users=config.users.put(user)), {}, Author(user="system", kind="system"))


async def log_in(running: Running, key: asyncssh.SSHKey) -> tuple[asyncssh.SSHClientConnection, asyncssh.SSHClientProcess[bytes]]:
    port = next(real[1] for endpoint, real in running.appliance.sockets if endpoint.service == "ssh")
    connection = await asyncssh.connect("127.0.0.1", port, username="bob", client_keys=[key], known_hosts=None, config=None)
    process = await connection.create_process(encoding=None)
    async with asyncio.timeout(5):
        await process.stdout.readuntil(PROMPT)
    return connection, process


async def test_a_disabled_user_is_put_out_and_kept_out(tmp_path: Path) -> None:
    running, key = await start(tmp_path)
    connection, process = await log_in(running, key)
    bob = running.appliance.running()[1].users["bob"]
    await change(running, attrs.evolve(bob, full_name="Still there"))
    process.stdin.write(b"whoami\n")
    await process.stdout.readuntil(PROMPT)
    await change(running, attrs.evolve(bob, enabled=False))
    async with asyncio.timeout(5):
        assert await process.stdout.read() == b"\nThe appliance has ended this session.\n"
        await process.wait_closed()
    assert process.exit_status == 1
    again = await connection.create_process(encoding=None)
    async with asyncio.timeout(5):
        assert await again.stdout.read() == b""
        await connection.wait_closed()
    with pytest.raises(asyncssh.PermissionDenied):
        await log_in(running, key)
    await running.stop(1.0)


async def test_a_stop_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    running, key = await start(tmp_path)
    connection, process = await log_in(running, key)
    process.stdin.write(b"sethostname\n")
    await process.stdout.readuntil(b"]> ")
    await running.stop(1.0)
    async with asyncio.timeout(5):
        assert await process.stdout.read() == b"\nThe appliance is shutting down.\n"
        await process.wait_closed()
        await connection.wait_closed()
    assert process.exit_status == 1
    assert not running.appliance.sessions.open
    await until(lambda: asyncio.all_tasks() <= before)
