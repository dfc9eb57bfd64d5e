"""The SSH service of the IP interfaces (conventions.md 2, 15; users-and-access.md 1, 2.3, 5).

Login by key, keyboard-interactive with the one prompt `Password:`, or password; the third failed passphrase closes the
connection. A connection may open several channels, each a session of its own. Nothing else is served: no forwarding
of ports, agent or X11, no subsystem. Algorithms are those of model.md 3.17.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncssh
from attrs import define, field

from appliance_runtime.services import Endpoint
from asyncos_shell.host_keys import first_key, second_key
from asyncos_shell.login import Entrance, serve_session
from asyncos_shell.scp import is_scp, serve_scp
from asyncos_shell.terminals.ssh import SshChannel
from commands.registry import Registry

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance

FAILURES = 3
"""failed passphrases that close a connection"""
KEYS_TRIED = 20
"""public keys that a client may offer"""
MAX_CONNECTIONS = 200
LOGIN_SECONDS = 120
KEEPALIVE_SECONDS = 60
KEX = ("curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256")
CIPHERS = ("chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256")
PUBLIC_KEYS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256")
SECURITY_KEYS = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")


@define(eq=False)
class SshServer:
    """Acceptor of the service `ssh`."""

    appliance: Appliance
    registry: Registry
    key: asyncssh.SSHKey = field(init=False)
    _keys: list[asyncssh.SSHKey] = field(init=False)
    _acceptors: set[asyncssh.SSHAcceptor] = field(factory=set)
    _connections: set[asyncssh.SSHServerConnection] = field(factory=set)
    _tasks: set[asyncio.Task[int]] = field(factory=set)
    _making_key: asyncio.Task[None] | None = None
    _closed: bool = False

    def __attrs_post_init__(self) -> None:
        asyncssh.set_log_level("CRITICAL")  # clients that break off are no news for standard error
        self.key = first_key(self.appliance.directory.ssh, self.appliance.sealed_files)
        self._keys = [self.key]

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def fingerprint(self) -> str:
        return self.key.get_fingerprint()

    async def accept_on(self, endpoint: Endpoint, sock: socket.socket) -> SshSocket:
        """Accept on a bound, listening, non-blocking socket until `close()`."""
        acceptor = await asyncssh.listen(
            sock=sock,
            backlog=endpoint.backlog,
            config=None,
            server_factory=lambda: Connection(self, endpoint),
            server_host_keys=self._keys,
            server_version="asyncos-shell",
            gss_host=None,
            host_based_auth=False,
            kex_algs=KEX,
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            signature_algs=(*PUBLIC_KEYS, *SECURITY_KEYS),
            compression_algs=("none",),
            login_timeout=LOGIN_SECONDS,
            keepalive_interval=KEEPALIVE_SECONDS,
            line_editor=False,
            encoding=None,
            agent_forwarding=False,
        )
        self._acceptors.add(acceptor)
        return SshSocket(self, acceptor)

    def add_second_key(self, *, after: float = 0.0) -> None:
        """Offer the RSA key too, as soon as it is there; it is made `after` seconds from now, so that no start waits for it."""
        self._making_key = asyncio.create_task(self._add_second_key(after))

    async def _add_second_key(self, after: float) -> None:
        self._keys.append(await second_key(self.appliance.directory.ssh, self.appliance.sealed_files, after=after))
        for acceptor in self._acceptors:
            acceptor.update(server_host_keys=self._keys)

    def connected(self, connection: asyncssh.SSHServerConnection) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            connection.abort()
        else:
            self._connections.add(connection)

    def disconnected(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.discard(connection)

    def release(self, acceptor: asyncssh.SSHAcceptor) -> None:
        acceptor.close()
        self._acceptors.discard(acceptor)

    def keep(self, task: asyncio.Task[int]) -> None:
        """Hold a session's task; a bug in it is reported and ends this session only."""
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[int]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.appliance.supervisor.report("ssh", f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Accept no more connections and channels."""
        self._closed = True
        for acceptor in list(self._acceptors):
            self.release(acceptor)
        if self._making_key is not None:
            self._making_key.cancel()

    async def stop(self, seconds: float) -> None:
        """Close every connection. Sessions, which were told to end before, get `seconds` for it."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=seconds)
        for connection in list(self._connections):
            connection.close()
        for task in self._tasks:
            task.cancel()
        closing = [asyncio.ensure_future(connection.wait_closed()) for connection in self._connections]
        if closing or self._tasks:
            await asyncio.wait([*closing, *self._tasks], timeout=seconds)
        for connection in list(self._connections):
            connection.abort()


@define(eq=False)
class SshSocket:
    """One accepting socket."""

    server: SshServer
    acceptor: asyncssh.SSHAcceptor

    def close(self) -> None:
        """Accept no more. Open connections go on."""
        self.server.release(self.acceptor)


class Connection(asyncssh.SSHServer):
    """One connection: the login, then its channels."""

    def __init__(self, server: SshServer, endpoint: Endpoint) -> None:
        self._server = server
        self._endpoint = endpoint
        self._connection: asyncssh.SSHServerConnection
        self._remote = ""
        self._user = ""
        self._failures = 0
        self._keys_tried = 0
        self._by_key = True

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._remote = (conn.get_extra_info("peername") or ("",))[0]
        self._server.connected(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.disconnected(self._connection)

    # -- login ------------------------------------------------------------------------------------------------------

    def begin_auth(self, username: str) -> bool:
        self._user = username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._keys_tried += 1
        if self._keys_tried > KEYS_TRIED:
            self._close_soon()
            return False
        account = self._server.appliance.accounts.find(username)
        return account is not None and account.enabled and any(_same_key(line, key) for line in account.authorized_keys)

    def password_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        accepted = self._failures < FAILURES and await self._server.appliance.accounts.authenticate(
            username, password, remote=self._remote, protocol="SSH"
        )
        if accepted:
            self._by_key = False
        else:
            self._failures += 1
            if self._failures >= FAILURES:
                self._close_soon()
        return accepted

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [("Password:", False)]

    async def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return len(responses) == 1 and await self.validate_password(username, responses[0])

    def auth_completed(self) -> None:
        account = self._server.appliance.accounts.find(self._user)
        if self._by_key and account is not None:
            self._server.appliance.accounts.logged_on(account, remote=self._remote, protocol="SSH")

    def _close_soon(self) -> None:
        """Close after the answer to this attempt."""
        asyncio.get_running_loop().call_soon(
            self._connection.disconnect, asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many authentication failures"
        )

    # -- channels ---------------------------------------------------------------------------------------------------

    def session_requested(self) -> SshChannel | bool:
        return not self._server.closed and SshChannel(self._serve, self._server.keep)

    async def _serve(self, channel: SshChannel) -> int:
        appliance = self._server.appliance
        account = appliance.accounts.find(self._user)
        if account is None or not account.enabled:
            self._connection.close()
            return 1
        if channel.command is not None and is_scp(channel.command):
            return await serve_scp(channel, channel.command, appliance.files, account.role)
        shell = channel.command is None
        entrance = Entrance(
            user=self._user,
            kind="cli" if shell else "exec",
            remote=self._remote,
            interface=self._endpoint.owner,
            service="ssh",
            line=channel.command,
            greets=shell,
            comments=not channel.terminal.keyboard,
        )
        return await serve_session(appliance, self._server.registry, channel.use_terminal(), entrance)


def _same_key(line: str, key: asyncssh.SSHKey) -> bool:
    try:
        return base64.b64decode(line.split(None, 2)[1]) == key.public_data
    except (IndexError, binascii.Error):
        return False
