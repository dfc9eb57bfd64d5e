"""Files from web servers over real sockets: names, addresses, mapping, source, requests on the wire, limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
from attrs import define

from appliance_runtime.addresses import AddressMap, parse_rule
from appliance_runtime.clock import FakeClock
from appliance_runtime.dns.resolver import Resolver
from appliance_runtime.downloads import Downloads, Encryption, NotDownloaded, TooLarge, Unreachable
from appliance_runtime.tls import client_context
from appliance_state.model.dns import Dns, DnsServer
from appliance_state.model.tls_settings import FACTORY_CIPHERS, FACTORY_METHODS
from appliance_state.table import Table
from asyncos_shell.lab.authority import self_signed
from asyncos_shell.lab.dns_server import LabDns
from tests.support.file_server import FileServer, file_server

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MEGABYTE = 1024 * 1024


def unencrypted() -> Encryption:
    raise AssertionError("no https here")


@define
class World:
    dns: LabDns
    address_map: AddressMap
    downloads: Downloads

    async def get(self, url: str, largest: int = MEGABYTE, interface: str = "Auto") -> bytes:
        return await self.downloads.get(url, largest=largest, encryption=unencrypted, interface=interface)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    dns = LabDns()
    await dns.start()
    address_map = AddressMap.parse([f"192.0.2.53:53={dns.address}:{dns.port}"])
    settings = Dns(servers=Table([DnsServer(address="192.0.2.53")]))
    resolver = Resolver(settings, FakeClock(NOW), address_map, net_timeout_scale=0.1)
    downloads = Downloads(resolver, address_map, source={"Data": "127.0.0.5"}.get, net_timeout_scale=0.1)
    yield World(dns, address_map, downloads)
    await dns.stop()


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server() as served:
        served.files["/file"] = b"content"
        yield served


async def test_a_name_with_two_addresses_of_which_one_does_not_answer(world: World, server: FileServer) -> None:
    world.dns.set("files.test A 192.0.2.80")
    world.dns.set("files.test A 192.0.2.81")
    world.address_map.rules += [parse_rule("192.0.2.80:80=127.0.0.1:1"), parse_rule(f"192.0.2.81:80=127.0.0.1:{server.port}")]
    assert await world.get("http://files.test/file") == b"content"
    (request,) = server.requests
    assert request.startswith("GET /file HTTP/1.1\r\nHost: files.test\r\n") and "Authorization" not in request


async def test_localhost_is_not_asked_of_a_name_server(world: World, server: FileServer) -> None:
    assert await world.get(f"http://localhost:{server.port}/file") == b"content"


async def test_the_source_is_that_of_the_interface(world: World, server: FileServer) -> None:
    for interface in ("Auto", "Data", "Gone"):
        await world.get(f"{server.base}file", interface=interface)
    assert server.clients == ["127.0.0.1", "127.0.0.5", "127.0.0.1"]


async def test_paths_are_encoded_once(world: World, server: FileServer) -> None:
    server.files |= {"/a%20b/%E4%BA%AC?x=1": b"1", "/": b"2"}
    assert await world.get(f"{server.base}a%20b/京?x=1#part") == b"1"
    assert await world.get(server.base.rstrip("/")) == b"2"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://nobody.test/", "nobody.test has no address (NXDomain)"),
        ("ftp://files.test/", "the URL is not valid"),
        ("http://[::1/", "the URL is not valid"),
        ("http://files.test:x/", "the URL is not valid"),
        ("http://127.0.0.1:1/", "[Errno 111] Connection refused"),
    ],
)
async def test_unreachable(world: World, url: str, text: str) -> None:
    with pytest.raises(Unreachable) as caught:
        await world.get(url)
    assert str(caught.value) == f"the server is not reachable: {text}"


async def test_sizes_and_chunks(world: World, server: FileServer) -> None:
    server.raw["/chunks"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    server.raw["/close"] = b"HTTP/1.0 200 OK\r\n\r\nuntil the end"
    server.raw["/continue"] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert await world.get(f"{server.base}chunks") == b"abcde"
    assert await world.get(f"{server.base}close") == b"until the end"
    assert await world.get(f"{server.base}continue") == b"ok"
    server.files["/large"] = b"x" * (MEGABYTE + 1)
    with pytest.raises(TooLarge, match="larger than 1 MB"):
        await world.get(f"{server.base}large")
    assert len(await world.get(f"{server.base}large", MEGABYTE + 1)) == MEGABYTE + 1


async def test_a_server_that_says_nothing_more(world: World) -> None:
    quiet = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
        await quiet.wait()
        writer.close()

    listening = await asyncio.start_server(hang, "127.0.0.1", 0)
    world.downloads._scale = 0.001
    try:
        with pytest.raises(Unreachable, match="timeout"):
            await world.get(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")
    finally:
        quiet.set()
        listening.close()
        await listening.wait_closed()


async def test_what_is_not_encrypted_and_what_is_not_trusted(world: World) -> None:
    context = client_context(None, methods=FACTORY_METHODS, ciphers=FACTORY_CIPHERS)
    seen: list[tuple[int, str]] = []

    async def check(chain: Sequence[bytes], host: str) -> str | None:
        seen.append((len(chain), host))
        return "nobody knows it"

    async def over_tls(url: str) -> bytes:
        return await world.downloads.get(url, largest=100, encryption=lambda: Encryption(context=context, check=check))

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 this is not TLS\r\n")
        writer.close()

    greeting = await asyncio.start_server(greet, "127.0.0.1", 0)
    with pytest.raises(Unreachable, match="not reachable: wrong version number"):
        await over_tls(f"https://127.0.0.1:{greeting.sockets[0].getsockname()[1]}/")
    greeting.close()
    await greeting.wait_closed()
    async with file_server(self_signed(NOW, dns_names=["files.test"])) as encrypted:
        with pytest.raises(NotDownloaded) as caught:
            await over_tls(encrypted.base)
    assert str(caught.value) == "the server certificate is not trusted: nobody knows it"
    assert seen == [(1, "127.0.0.1")] and not encrypted.requests, "nothing is asked of a server that is not trusted"
