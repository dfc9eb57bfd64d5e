"""The test of an LDAP server: connect, TLS, bind, read of the base entry (ldapconfig.md 4). Nothing is written to the directory.

Host names are tried in order, each with all addresses, until one connects. Time limits are seconds of real time: for a look-up,
a connection, a handshake, and each reply. LDAPS is TLS from the first byte with a context of its own, which is observed: a server
that refuses our certificate in TLS 1.3 says so only where the first reply is expected, so the line about it waits until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from appliance_runtime import ldap_protocol as ldap
from appliance_runtime.delivery.peer_names import is_address
from appliance_runtime.delivery.source import Source, source_for
from appliance_runtime.delivery.verify import TOO_SLOW
from appliance_runtime.dns.answers import LookupFailed
from appliance_runtime.ldap_tls import Observed, server_problem, subject_of
from appliance_runtime.snapshot import Snapshot
from appliance_runtime.tls import UnusableContext, client_context, peer_chain, tls_error_text
from appliance_state.certificates.pem import read_certificate
from appliance_state.model.ldap import LdapAuth, LdapServer

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance
    from appliance_runtime.dns.resolver import Resolver

WAIT = 10
"""seconds for each step"""
_GOODBYE = 1
_BIND, _SEARCH, _UNBIND = 1, 2, 3
"""numbers of the messages"""
Say = Callable[[str], None]


@frozen(kw_only=True)
class LdapOutcome:
    """`cause`: the line that failed, without its final dot; empty when the test succeeded."""

    succeeded: bool
    cause: str


class _Failed(Exception):
    """The test ends. The text is the failing line without its dot, and has been said."""


@define(eq=False)
class _Session:
    """A connection. `tls_lines`: said as soon as it is known whether the server takes our certificate."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    observed: Observed = field(factory=Observed)
    host: str = ""
    tls_lines: list[str] = field(factory=list)


async def check_ldap(appliance: Appliance, snapshot: Snapshot, server: LdapServer, passphrase: str, say: Say) -> LdapOutcome:
    """Connect, TLS, bind, read the base entry; `say` gets the lines from "Connecting to …" on, without the verdict.

    `snapshot`: what governs interface, certificate, verification and name servers.
    """
    with closing(appliance.probe(snapshot)) as probe:
        test = _Test(appliance, snapshot, server, passphrase, say, probe.resolver)
        try:
            await test.run()
        except _Failed as failed:
            return LdapOutcome(succeeded=False, cause=str(failed))
    return LdapOutcome(succeeded=True, cause="")


@define(eq=False)
class _Test:
    appliance: Appliance
    snapshot: Snapshot
    server: LdapServer
    passphrase: str = field(repr=False)
    say: Say
    resolver: Resolver

    @property
    def _wait(self) -> float:
        return WAIT * self.appliance.options.net_timeout_scale

    async def run(self) -> None:
        """Errors: _Failed."""
        host, connected = await self._connect()
        async with self._session(host, connected) as session:
            await self._bind(session)
            await self._read_base(session)

    # -- connection ------------------------------------------------------------------------------------------------------------

    async def _connect(self) -> tuple[str, socket.socket]:
        """The first host that takes a connection. Errors: _Failed with what the last one had."""
        failed = _Failed("no address")
        for host in self.server.hostnames:
            try:
                for address in await self._addresses(host):
                    try:
                        return host, await self._connect_to(address)
                    except _Failed as failure:
                        failed = failure
            except _Failed as failure:
                failed = failure
        raise failed

    async def _addresses(self, host: str) -> Sequence[str]:
        """Errors: _Failed."""
        if is_address(host):
            return [host.strip("[]")]
        try:
            async with asyncio.timeout(self._wait):
                answer = await self.resolver.addresses(host)
        except LookupFailed as failure:
            raise self._no_connection(host, str(failure)) from None
        except TimeoutError:
            raise self._no_connection(host, "the name servers do not answer") from None
        if not answer.addresses:
            raise self._no_connection(host, f"the name has no address ({answer.absence})")
        return answer.addresses

    async def _connect_to(self, address: str) -> socket.socket:
        """Errors: _Failed."""
        real = self.appliance.address_map.connect(address, self.server.port)
        config = self.snapshot.config
        source: Source = source_for(config, address, real[0], 0, interface=config.ldap.interface)
        self.say(f"Connecting to {address} port {self.server.port} from interface {source.address}.")
        try:
            connecting = socket.socket(socket.AF_INET6 if ":" in real[0] else socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:  # too many open files
            raise self._no_connection(address, _system_text(error)) from None
        with contextlib.ExitStack() as undo:
            undo.callback(connecting.close)
            connecting.setblocking(False)
            try:
                if source.bind and (":" in source.bind) == (":" in real[0]):
                    connecting.bind((source.bind, 0))
                async with asyncio.timeout(self._wait):
                    await asyncio.get_running_loop().sock_connect(connecting, real)
            except OSError as error:  # TimeoutError among them
                raise self._no_connection(address, _system_text(error)) from None
            undo.pop_all()
        return connecting

    def _no_connection(self, place: str, text: str) -> _Failed:
        return self._failing(f"Could not connect to {place} port {self.server.port}: {text}")

    @asynccontextmanager
    async def _session(self, host: str, connected: socket.socket) -> AsyncIterator[_Session]:
        """Streams, inside TLS where the profile says so; ended in order, or dropped. Errors: _Failed."""
        with contextlib.ExitStack() as undo:
            undo.callback(connected.close)
            if self.server.use_ssl:
                session = await self._encrypt(host, connected)
            else:
                session = _Session(*await asyncio.open_connection(sock=connected))
            undo.pop_all()
        try:
            if self.server.use_ssl:
                await self._check_server(session)
            yield session
            session.writer.write(ldap.unbind_request(_UNBIND))
            session.writer.close()
            with contextlib.suppress(OSError):  # a time-out among them
                async with asyncio.timeout(_GOODBYE * self.appliance.options.net_timeout_scale):
                    await session.writer.wait_closed()
        finally:
            session.writer.transport.abort()
            with contextlib.suppress(OSError):  # what has ended the session
                await session.writer.wait_closed()

    # -- TLS -------------------------------------------------------------------------------------------------------------------

    async def _encrypt(self, host: str, connected: socket.socket) -> _Session:
        """Errors: _Failed."""
        settings = self.snapshot.config.ssl
        observed = Observed()
        try:
            context = await asyncio.to_thread(
                client_context,
                self.snapshot.ldap_credentials,
                methods=settings.other_client_methods,
                ciphers=settings.outbound_ciphers,
            )
            observed.watch(context)
            name = "" if is_address(host) else host.rstrip(".")
            async with asyncio.timeout(self._wait):
                reader, writer = await asyncio.open_connection(
                    sock=connected, ssl=context, server_hostname=name, ssl_handshake_timeout=2 * self._wait
                )
        except UnusableContext as error:
            raise self._failing(f"TLS negotiation failed: {error}") from None
        except OSError as error:  # every TLS error and a time-out are among them
            raise self._tls_failure(observed, error) from None
        session = _Session(reader, writer, observed, host)
        tls = writer.get_extra_info("ssl_object")
        cipher = tls.cipher()
        self.say(f"TLS connection established: protocol {tls.version()}, cipher {cipher[0] if cipher else 'unknown'}.")
        return session

    async def _check_server(self, session: _Session) -> None:
        """Errors: _Failed; then nothing of the bind has been sent."""
        chain = peer_chain(session.writer.get_extra_info("ssl_object"))
        now = self.appliance.clock.now()
        try:
            async with asyncio.timeout(self._wait):
                problem = await asyncio.to_thread(server_problem, chain, session.host, self.snapshot, now)
        except TimeoutError:
            problem = TOO_SLOW
        subject = f"Server certificate: {subject_of(chain)}"
        session.tls_lines.append(self._client_certificate(session.observed))
        if problem is not None:
            self._say_tls(session)
            raise self._failing(f"{subject}, verification failed: {problem}")
        validated = self.snapshot.config.ldap.validate_server_certificate
        session.tls_lines.append(f"{subject}, {'verification successful' if validated else 'not verified'}.")

    def _client_certificate(self, observed: Observed, refusal: str = "") -> str:
        credentials = self.snapshot.ldap_credentials
        if not observed.requested:
            text = "not requested"
        elif refusal:
            text = f"requested, refused by the server ({refusal})"
        elif not observed.sent or credentials is None:
            text = "requested, not sent: the server takes no certificate of this kind"
        else:
            leaf = read_certificate(credentials.certificate)
            text = f'requested, sent "{self.snapshot.config.ldap.certificate}" (serial {_serial(leaf.serial_number)})'
        return f"Client certificate: {text}."

    def _tls_failure(self, observed: Observed, error: OSError | EOFError) -> _Failed:
        text = "EOF" if isinstance(error, ConnectionError) and not error.errno else tls_error_text(error)
        if observed.refused:
            self.say(self._client_certificate(observed, text))
        return self._failing(f"TLS negotiation failed: {text}")

    def _say_tls(self, session: _Session) -> None:
        for line in session.tls_lines:
            self.say(line)
        session.tls_lines.clear()

    # -- LDAP ------------------------------------------------------------------------------------------------------------------

    async def _bind(self, session: _Session) -> None:
        """Errors: _Failed."""
        by_password = self.server.auth_type is LdapAuth.PASSWORD
        if by_password and not self.passphrase:
            self._say_tls(session)
            raise self._failing("Bind failed: the passphrase is empty")
        user, passphrase = (self.server.bind_user, self.passphrase) if by_password else ("", "")
        answer = await self._ask(session, ldap.bind_request(_BIND, user, passphrase), _BIND, ldap.BIND_RESPONSE)
        if isinstance(answer, str):
            raise self._failing(f"Bind failed: {answer}")
        if answer.code != ldap.SUCCESS:
            raise self._failing(f"Bind failed: {ldap.result_name(answer.code)} ({answer.code})")
        self.say(f"Bind as {user or 'anonymous'}: success.")

    async def _read_base(self, session: _Session) -> None:
        """Errors: _Failed."""
        label = f"Base {self.server.base or '(root DSE)'}"
        answer = await self._ask(session, ldap.base_request(_SEARCH, self.server.base), _SEARCH, ldap.SEARCH_DONE)
        if isinstance(answer, str):
            raise self._failing(f"{label}: not read ({answer})")
        if answer.code not in (ldap.SUCCESS, ldap.NO_SUCH_OBJECT):
            raise self._failing(f"{label}: not read ({ldap.result_name(answer.code)})")
        if answer.code == ldap.NO_SUCH_OBJECT or not answer.entries:
            raise self._failing(f"{label}: not found ({ldap.result_name(ldap.NO_SUCH_OBJECT) if answer.code else 'no entry'})")
        self.say(f"{label}: found.")

    async def _ask(self, session: _Session, request: bytes, number: int, operation: int) -> ldap.Answer | str:
        """The answer, or why there is none. Errors: _Failed when the server does not take our certificate."""
        answer: ldap.Answer | str
        try:
            async with asyncio.timeout(self._wait):
                session.writer.write(request)
                answer = await ldap.answer(session.reader, number, operation)
        except TimeoutError:
            answer = f"no reply within {WAIT} seconds"
        except (OSError, EOFError) as error:
            if session.tls_lines and session.observed.refused and isinstance(error, OSError):
                session.tls_lines.clear()
                raise self._tls_failure(session.observed, error) from None
            closed = isinstance(error, EOFError | ConnectionError | ssl.SSLEOFError)
            answer = "the server closed the connection" if closed else tls_error_text(error)
            if session.tls_lines and session.observed.sent:
                # OpenLDAP with GnuTLS looks at it after the handshake, and says nothing.
                answer += "; it may have refused the client certificate"
        except ldap.NotLdap:
            answer = "the reply is not LDAP"
        self._say_tls(session)
        return answer

    def _failing(self, text: str) -> _Failed:
        self.say(f"{text}.")
        return _Failed(text)


def _system_text(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "Connection timed out"
    return os.strerror(error.errno) if error.errno else tls_error_text(error)


def _serial(number: int) -> str:
    """`0A1B2C`"""
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big").hex().upper()
