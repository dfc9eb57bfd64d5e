"""Files from web servers: bundles of roots and revocation lists (RFC 9110, RFC 9112).

One GET for each file, no redirects, no cookies. Hosts are looked up with the resolver of the appliance and connected
through the address map. A handshake accepts every certificate; whether it is trusted is decided afterwards, by a rule
that the caller gives. Time limits are seconds of real time.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, urlsplit

from attrs import frozen

from appliance_runtime.addresses import AddressMap
from appliance_runtime.dns.answers import LookupFailed
from appliance_runtime.tls import peer_chain, tls_error_text

if TYPE_CHECKING:
    from appliance_runtime.dns.resolver import Resolver

CONNECT = 30
SILENCE = 30
TOTAL = 300
"""seconds: for a connection with its handshake, between two pieces of an answer, for a whole file"""
_READ = 65536
_PORTS = {"http": 80, "https": 443}
LOCALHOST = "localhost"
_SAFE = "!#$%&'()*+,/:;=?@[]~"
"""characters of a URL that stay as they are"""

CheckChain = Callable[[Sequence[bytes], str], Awaitable[str | None]]
"""From what the server sent (DER) and the host of the URL to what is wrong with it; None = trusted."""


class NotDownloaded(Exception):
    """There is no file. The text is the reason in the operator's words."""


class Unreachable(NotDownloaded):
    """No server answered."""

    def __init__(self, text: str) -> None:
        super().__init__(f"the server is not reachable: {text}")


class TooLarge(NotDownloaded):
    """The file is larger than the caller accepts."""


@frozen(kw_only=True)
class Encryption:
    """How https is spoken. `check`: None = every certificate will do."""

    context: ssl.SSLContext
    check: CheckChain | None = None


class Downloads:
    """Fetches files. `source`: own address for connections by interface, None = left to the system."""

    def __init__(
        self,
        resolver: Resolver,
        address_map: AddressMap,
        *,
        source: Callable[[str], str | None] = lambda interface: None,
        net_timeout_scale: float = 1.0,
    ) -> None:
        self._resolver = resolver
        self._address_map = address_map
        self._source = source
        self._scale = net_timeout_scale

    async def get(self, url: str, *, largest: int, encryption: Callable[[], Encryption], interface: str = "Auto") -> bytes:
        """The file at `url`, at most `largest` octets. Errors: NotDownloaded."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):
            raise Unreachable("the URL is not valid") from None
        encrypted = encryption() if parts.scheme == "https" else None
        failure: NotDownloaded = Unreachable("no address")
        try:
            async with asyncio.timeout(TOTAL * self._scale):
                for address in await self._addresses(host):
                    try:
                        return await self._get_from(address, host, port, parts, largest, encrypted, interface)
                    except Unreachable as unreachable:
                        failure = unreachable
        except TimeoutError:
            raise Unreachable("timeout") from None
        raise failure

    async def _addresses(self, host: str) -> Sequence[str]:
        """Errors: Unreachable."""
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        if host == LOCALHOST:  # RFC 6761 6.3: never asked of a server
            return ["127.0.0.1", "::1"]
        try:
            answer = await self._resolver.addresses(host)
        except LookupFailed as failed:
            raise Unreachable(str(failed)) from None
        if not answer.addresses:
            raise Unreachable(f"{host} has no address ({answer.absence})")
        return answer.addresses

    async def _get_from(
        self, address: str, host: str, port: int, parts: SplitResult, largest: int, encrypted: Encryption | None, interface: str
    ) -> bytes:
        """Errors: NotDownloaded."""
        import h11  # with the first download, not with the start

        own = self._source(interface) if interface != "Auto" else None
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(CONNECT * self._scale):
                reader, writer = await asyncio.open_connection(
                    *self._address_map.connect(address, port),
                    ssl=encrypted.context if encrypted else None,
                    server_hostname=host if encrypted else None,
                    local_addr=(own, 0) if own and (":" in own) == (":" in address) else None,
                )
            if encrypted and encrypted.check:
                problem = await encrypted.check(peer_chain(writer.get_extra_info("ssl_object")), host)
                if problem is not None:
                    raise NotDownloaded(f"the server certificate is not trusted: {problem}")
            return await self._exchange(reader, writer, parts, largest)
        except (OSError, EOFError) as error:  # a time-out and every TLS error are among them
            raise Unreachable(tls_error_text(error)) from error
        except h11.RemoteProtocolError:
            raise Unreachable("the answer is not HTTP") from None
        finally:
            if writer is not None:
                writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parts: SplitResult, largest: int) -> bytes:
        import h11

        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_READ)
        host = parts.netloc.rpartition("@")[2]
        headers = [("Host", host), ("User-Agent", "asyncos-shell"), ("Accept", "*/*"), ("Connection", "close")]
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"))
        target = quote(parts._replace(scheme="", netloc="", fragment="", path=parts.path or "/").geturl(), safe=_SAFE)
        writer.write(connection.send(h11.Request(method="GET", target=target, headers=headers)) or b"")
        connection.send(h11.EndOfMessage())
        body = bytearray()
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                if reader.at_eof():
                    raise EOFError from None
                raise
            if event is h11.NEED_DATA:
                async with asyncio.timeout(SILENCE * self._scale):
                    connection.receive_data(await reader.read(_READ))
            elif isinstance(event, h11.Response):
                if event.status_code != 200:
                    raise NotDownloaded(f"HTTP status {event.status_code}")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > largest:
                    raise TooLarge(f"the file is larger than {largest // (1024 * 1024)} MB")
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body)
