"""The signature of a handshake is made in a thread: nobody else waits for it, and the session may end meanwhile."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator

import pytest

from appliance_runtime.smtp.tls_session import TlsSession
from tests.appliance_runtime.smtp.bench import Bench, Client, client_context, public_listener


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Signatures wait until it is set."""
    opened, advance = threading.Event(), TlsSession.advance

    def wait_and_advance(session: TlsSession) -> bytes:
        if session.costly:
            assert threading.current_thread() is not threading.main_thread()
            opened.wait(20)
        return advance(session)

    monkeypatch.setattr(TlsSession, "advance", wait_and_advance)
    yield opened
    opened.set()


class ShakingClient:
    """The client's side of a handshake, by hand, so that it can be left in the middle."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = client_context().wrap_bio(self.incoming, self.outgoing, server_side=False)

    def hello(self) -> None:
        with pytest.raises(ssl.SSLWantReadError):
            self.session.do_handshake()
        self.client.send(self.outgoing.read())

    async def finish(self) -> None:
        async with asyncio.timeout(5):
            while True:
                self.incoming.write(await self.client.reader.read(65536))
                try:
                    self.session.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                self.client.send(self.outgoing.read())
                return


async def begin(bench: Bench) -> ShakingClient:
    """A client in the middle of its handshake, once its first message has been read."""
    client = await bench.client()
    await client.command("EHLO a")
    assert await client.command("STARTTLS") == "220 Go ahead with TLS"
    shaking = ShakingClient(client)
    shaking.hello()
    async with asyncio.timeout(5):
        while not any(connection._signing for connection in bench.receiver.connections):
            await asyncio.sleep(0.002)
    return shaking


async def test_others_are_served_meanwhile(bench: Bench, gate: threading.Event) -> None:
    await bench.start(public_listener(tls="on", client_concurrency=5))
    shaking = await begin(bench)
    other = await bench.client()
    await other.command("EHLO b")
    assert (await other.deliver()).startswith("250 ok:")
    assert not [line for line in bench.logs.lines if "TLS success" in line]
    gate.set()
    await shaking.finish()
    await bench.lines(f"TLS success protocol TLSv1.3 cipher {shaking.session.cipher()[0]}")  # type: ignore[index]


async def test_the_appliance_does_not_wait_for_a_signature_to_end_a_session(bench: Bench, gate: threading.Event) -> None:
    await bench.start(public_listener(tls="on"))
    shaking = await begin(bench)
    (connection,) = bench.receiver.connections
    connection.cut()
    assert await shaking.client.ended()
    gate.set()
    await shaking.client.close()
    assert "ICID 1 TLS failed: timeout" in await bench.ended()


async def test_a_client_that_vanishes_meanwhile(bench: Bench, gate: threading.Event) -> None:
    await bench.start(public_listener(tls="on"))
    shaking = await begin(bench)
    shaking.client.reset()
    gate.set()
    lines = await bench.ended()
    assert not [line for line in lines if "TLS success" in line]
    assert lines[-1] == "ICID 1 close"
