"""Whatever a peer does: at Required levels, and with TLSA records that demand TLS, nothing of a message leaves in clear text.

Peers are made by hypothesis: any answer to any command, several answers at once, TLS or something else after the 220. They
record every octet that arrives (delivery.md 10, 12.2).
"""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal

import pytest
from attrs import define, field, frozen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from appliance_runtime.delivery.tlsa import selected
from appliance_state.model.destinations import DaneSupport, Destination, TlsSupport
from appliance_state.model.dns import DnssecMode
from asyncos_shell.lab.authority import Identity

Rig = Any
Demand = Literal["required", "required_verify", "required_verify_hosted", "dane usable", "dane unusable"]
SENDER, LOCAL, MARKER = "alice-the-sender@example.test", "bob-the-recipient", b"marker-in-the-body"
SECRET = re.compile(rb"MAIL FROM|RCPT TO|DATA\r\n|BDAT|alice-the-sender|bob-the-recipient|marker-in-the-body", re.IGNORECASE)

GREETING, EHLO, OFFER = b"220 mx ESMTP\r\n", b"250-mx\r\n250 8BITMIME\r\n", b"250-mx\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
CLEAR = [
    GREETING, b"220-mx\r\n220 ESMTP\r\n", EHLO, OFFER, b"250 mx\r\n", b"250-STARTTLS\r\n250 mx\r\n", b"250-mx\r\n250 starttls\r\n",
    b"250-mx\r\n250-STARTTLS now\r\n250 STARTTLS\r\n", b"250 2.0.0 Ok\r\n", b"354 go ahead\r\n", b"454 4.7.0 TLS not available\r\n",
    b"554 5.7.3 refused\r\n", b"500 5.5.1 what\r\n", b"502 5.5.1 not here\r\n", b"421 4.3.2 bye\r\n", b"220 2.0.0 Go ahead\r\n", b"999 what\r\n",
    b"no reply at all\r\n", b"250\r\n", b"\x16\x03\x01\x00\x04\x0e\x00\x00\x00\r\n", b"\r\n", b"",
]  # fmt: skip
"""answers in clear text; the empty one closes the connection"""


@frozen(kw_only=True)
class Script:
    """`answers`: to the connection and to each line in turn, the last one again and again. `upgrade`: what follows on a 220 to STARTTLS."""

    answers: tuple[bytes, ...]
    upgrade: Literal["tls", "close", "garbage", "clear", "tls-then-clear"]
    inside: tuple[bytes, ...] = (OFFER,)
    """answers to EHLO in TLS"""
    impostor: bool = False
    """the certificate is another one"""


HONEST = Script(answers=(GREETING, OFFER, b"220 2.0.0 Go ahead\r\n"), upgrade="tls")


@define(eq=False)
class Trickster:
    """A server that follows a script. `received`: every octet as it came; `commands`: first words inside TLS."""

    script: Script
    identity: Identity
    received: bytearray = field(factory=bytearray)
    commands: list[str] = field(factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, EOFError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        data = await reader.read(65536)
        if not data:
            raise EOFError
        self.received += data
        return data

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers = itertools.chain(self.script.answers, itertools.repeat(self.script.answers[-1]))
        word = b""
        while True:
            answer = next(answers)
            if not answer:
                return
            writer.write(answer)
            await writer.drain()
            if word == b"STARTTLS" and answer.startswith(b"220"):
                await self._upgrade(reader, writer)
            data = await self._read(reader)
            word = data.split(b"\r\n")[0].upper()

    async def _upgrade(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self.script.upgrade:
            case "close":
                raise EOFError
            case "garbage":
                await self._read(reader)
                writer.write(b"this is certainly no TLS" * 3)
            case "clear":
                await self._read(reader)
                writer.write(OFFER + b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go ahead\r\n250 2.0.0 Ok\r\n")
            case _:
                await self._in_tls(reader, writer)
        while True:
            await self._read(reader)

    async def _in_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = _context(self.identity).wrap_bio(incoming, outgoing, server_side=True)
        ehlo = itertools.chain(self.script.inside, itertools.repeat(self.script.inside[-1]))
        shaken, in_data, buffer = False, False, b""
        while True:
            try:
                if not shaken:
                    session.do_handshake()
                    shaken = True
                    if self.script.upgrade == "tls-then-clear":
                        writer.write(outgoing.read())
                        # An attacker that strips TLS off again: whoever answers now answers in clear text.
                        writer.write(OFFER + b"250 2.1.0 Ok\r\n" * 4)
                        return
                plain = session.read(65536)
                if not plain:
                    return
                buffer += plain
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await self._read(reader))
                continue
            while b"\r\n" in buffer:
                line, _, buffer = buffer.partition(b"\r\n")
                if in_data:
                    in_data = line != b"."
                    reply = b"" if in_data else b"250 2.0.0 Ok\r\n"
                else:
                    self.commands.append(line.split(b" ")[0].decode("latin-1").upper())
                    in_data = self.commands[-1] == "DATA"
                    reply = next(ehlo) if self.commands[-1] == "EHLO" else b"354 go\r\n" if in_data else b"250 2.0.0 Ok\r\n"
                    if not reply:
                        return
                if reply:
                    session.write(reply)
            writer.write(outgoing.read())


def _context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(identity.pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def joined(parts: Sequence[bytes]) -> bytes:
    return b"".join(parts)


answer = st.lists(st.sampled_from(CLEAR), min_size=1, max_size=3).map(joined)
first = st.one_of(st.just(GREETING), answer)
offer = st.one_of(st.just(OFFER), answer)
go_ahead = st.one_of(st.just(b"220 2.0.0 Go ahead\r\n"), answer)
scripts = st.builds(
    Script,
    answers=st.tuples(first, offer, go_ahead, answer, answer),
    upgrade=st.sampled_from(["tls", "tls", "close", "garbage", "clear", "tls-then-clear"]),
    inside=st.one_of(st.just((OFFER,)), st.lists(st.sampled_from(CLEAR), min_size=1, max_size=2).map(tuple)),
    impostor=st.booleans(),
)
"""peers that get far, and then do anything"""


@pytest.fixture
def numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def ready(rig: Rig) -> Rig:
    rig.use_dnssec(DnssecMode.TRUST_AD)
    rig.dns.zone("d.test")
    return rig


async def run(rig: Rig, number: int, demand: Demand, hosts: Sequence[Script]) -> list[Trickster]:
    """Send one message to a domain of its own with these hosts; the peers afterwards."""
    domain = f"n{number}.d.test"
    good = rig.root.issue(rig.clock.now(), common_name=domain, dns_names=[domain])
    bad = rig.intermediate.issue(rig.clock.now(), common_name="impostor.test", send_chain=False)
    peers = []
    for rank, script in enumerate(hosts):
        peer = Trickster(script, bad if script.impostor else good)
        await peer.start()
        peers.append(peer)
        address = f"127.{1 + rank}.{number // 250}.{1 + number % 250}"
        rig.map(address, peer.port)
        rig.dns.set(f"{domain} MX {rank} mx{rank}.{domain}.")
        rig.dns.set(f"mx{rank}.{domain} A {address}")
        if demand.startswith("dane"):
            data = f"3 1 1 {selected(good.der[0], 1, 1).hex()}" if demand == "dane usable" else f"3 1 99 {'00' * 32}"
            rig.dns.set(f"_25._tcp.mx{rank}.{domain} TLSA {data}")
    level = TlsSupport.PREFERRED if demand.startswith("dane") else TlsSupport(demand)
    dane = DaneSupport.OPPORTUNISTIC if demand.startswith("dane") else DaneSupport.NO
    rig.commit(destinations=rig.snapshot.config.destinations.put(Destination(domain=domain, tls_support=level, dane_support=dane)))
    await rig.send(f"{LOCAL}@{domain}", sender=SENDER, body=b"Subject: m\r\n\r\n" + MARKER + b"\r\n")
    await rig.idle()
    for peer in peers:
        await peer.stop()
    return peers


def check(peers: Sequence[Trickster], demand: Demand) -> None:
    for peer in peers:
        found = SECRET.search(bytes(peer.received))
        assert found is None, bytes(peer.received)
        if peer.script.impostor and demand not in ("required", "dane unusable"):
            assert "MAIL" not in peer.commands


DEMANDS: list[Demand] = ["required", "required_verify", "required_verify_hosted", "dane usable", "dane unusable"]
EASY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.mark.parametrize("demand", DEMANDS)
@EASY
@example(hosts=[HONEST])
@example(hosts=[Script(answers=(GREETING + OFFER + b"220 go\r\n250 Ok\r\n" * 6,), upgrade="clear")])
@example(hosts=[Script(answers=(GREETING, OFFER, b"220 go\r\n" + OFFER + b"250 Ok\r\n" * 6), upgrade="clear")])
@example(hosts=[Script(answers=(GREETING, OFFER, b"220 go\r\n"), upgrade="tls-then-clear")])
@example(hosts=[Script(answers=(GREETING, b"500 what\r\n", b"250 mx\r\n", b"250 Ok\r\n"), upgrade="tls"), HONEST])
@given(hosts=st.lists(scripts, min_size=1, max_size=2))
async def test_nothing_leaves_in_clear_text(ready: Rig, numbers: Iterator[int], demand: Demand, hosts: list[Script]) -> None:
    check(await run(ready, next(numbers), demand, hosts), demand)


@pytest.mark.parametrize("demand", DEMANDS)
async def test_an_honest_peer_gets_the_message(ready: Rig, demand: Demand) -> None:
    """The scripts can lead to a delivery, so that the test above has something to miss."""
    (peer,) = await run(ready, 1, demand, [HONEST])
    assert peer.commands == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    check([peer], demand)


async def test_the_recorder_would_see_it(ready: Rig) -> None:
    """Without the demand the same peers are told everything in clear text."""
    plain = Script(answers=(GREETING, EHLO, b"250 Ok\r\n", b"250 Ok\r\n", b"354 go\r\n", b"250 Ok\r\n"), upgrade="tls")
    domain = "n1.d.test"
    peer = Trickster(plain, ready.root.issue(ready.clock.now(), common_name=domain))
    await peer.start()
    ready.map("127.1.0.2", peer.port)
    ready.dns.set(f"{domain} A 127.1.0.2")
    await ready.send(f"{LOCAL}@{domain}", sender=SENDER, body=MARKER + b"\r\n")
    await ready.idle()
    await peer.stop()
    assert {bytes(one) for one in SECRET.findall(bytes(peer.received))} >= {b"MAIL FROM", b"RCPT TO", b"DATA\r\n", MARKER}
