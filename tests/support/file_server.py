"""A web server on loopback for tests: files by path, other answers on request, and a record of what was asked."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, field

from asyncos_shell.lab.authority import Identity


@define
class FileServer:
    """`files`: body by target. `raw`: whole answers in place of proper ones. `requests`: request lines and headers, in order."""

    base: str = ""
    port: int = 0
    files: dict[str, bytes] = field(factory=dict)
    raw: dict[str, bytes] = field(factory=dict)
    requests: list[str] = field(factory=list)
    clients: list[str] = field(factory=list)
    """their addresses"""

    @property
    def targets(self) -> list[str]:
        return [request.split()[1] for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(request)
            self.clients.append(writer.get_extra_info("peername")[0])
            target = request.split()[1]
            body = self.files.get(target)
            if target in self.raw:
                writer.write(self.raw[target])
            elif body is None:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


def server_tls(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        Path(file.name).write_bytes(identity.pem)
        context.load_cert_chain(file.name)
    return context


@asynccontextmanager
async def file_server(identity: Identity | None = None, host: str = "127.0.0.1") -> AsyncIterator[FileServer]:
    """Over https with `identity`."""
    served = FileServer()
    server = await asyncio.start_server(served.serve, host, 0, ssl=server_tls(identity) if identity else None)
    served.port = server.sockets[0].getsockname()[1]
    served.base = f"{'https' if identity else 'http'}://{host}:{served.port}/"
    try:
        yield served
    finally:
        server.close()
        await server.wait_closed()
