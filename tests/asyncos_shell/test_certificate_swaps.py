"""Certificates are replaced while TLS goes on: 100 profiles, 300 authorities, 50 swaps, real sockets (certconfig.md 10; commit.md 5).

A swap changes what new handshakes see, and nothing else: no binding, no session, no error, and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import define, evolve, field

from appliance_runtime.snapshot import Snapshot
from appliance_state.certificates.pem import load_der
from appliance_state.model.certificates import CertificateProfile, KeyMaterial
from tests.support.lab_ca import Issued, issue
from tests.support.live import Person, Place, live
from tests.support.pulse import Pulse

PROFILES, AUTHORITIES, SWAPS, CLIENTS, SETTLED = 100, 300, 50, 4, 10
LIMIT = 30.0


@define
class TlsClient:
    """An SMTP session in TLS; `serial`: of the certificate that it was shown."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    serial: int = 0

    @classmethod
    async def arrive(cls, port: int) -> TlsClient:
        made = cls(*await asyncio.open_connection("127.0.0.1", port))
        await made.reply()
        await made.command("EHLO a")
        assert await made.command("STARTTLS") == 220
        await made.writer.start_tls(trusting())
        made.serial = load_der(made.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)).serial_number
        assert await made.command("EHLO a") == 250
        return made

    async def reply(self) -> int:
        async with asyncio.timeout(LIMIT):
            while line := await self.reader.readline():
                if line[3:4] == b" ":
                    return int(line[:3])
        raise EOFError("the session has ended")

    async def command(self, line: str) -> int:
        self.writer.write(f"{line}\r\n".encode())
        return await self.reply()

    async def deliver(self) -> int:
        for line in ("MAIL FROM:<a@b.test>", "RCPT TO:<joe@example.com>", "DATA"):
            await self.command(line)
        return await self.command("Subject: m\r\n\r\nm\r\n.")

    async def quit(self) -> None:
        assert await self.command("QUIT") == 221
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@define
class Load:
    """Clients that come, deliver a message, and go, one after the other."""

    port: int
    errors: list[str] = field(factory=list)
    sessions: int = 0
    serials: set[int] = field(factory=set)
    ending: bool = False

    async def run(self) -> None:
        while not self.ending:
            try:
                client = await TlsClient.arrive(self.port)
                assert await client.deliver() == 250
                await client.quit()
            except (OSError, EOFError, AssertionError, TimeoutError) as error:
                self.errors.append(repr(error))
            else:
                self.sessions += 1
                self.serials.add(client.serial)


@define
class Remains:
    """What a leak would make grow."""

    contexts: int
    snapshots: int
    descriptors: int
    threads: int
    secrets: int
    resident: int
    """KiB"""


def remains(place: Place) -> Remains:
    gc.collect()
    objects = gc.get_objects()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return Remains(
        contexts=sum(isinstance(item, ssl.SSLContext) for item in objects),
        snapshots=sum(isinstance(item, Snapshot) for item in objects),
        descriptors=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
        secrets=len(place.appliance.vault._sealed),
        resident=int(status["VmRSS"].split()[0]),
    )


def put(person: Person, name: str, issued: Issued) -> None:
    """A profile as certconfig stores it."""
    draft = person.session.draft
    material = KeyMaterial(certificate=issued.pem, private_key=draft.seal(issued.key_pem.encode()))
    draft.config = draft.config.with_(certificates=draft.config.certificates.put(CertificateProfile(name=name, material=material)))


async def https_serial(place: Place) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port("Management", "https"), ssl=trusting())
    serial = load_der(writer.get_extra_info("ssl_object").getpeercert(binary_form=True)).serial_number
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    assert not await reader.read()
    return serial


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Everything is bound to the profile `mail`; client certificates are verified by the 300 authorities."""
    async with live(tmp_path) as made:
        person = made.person()
        for number in range(PROFILES - 1):
            put(person, f"profile{number}", issue(f"p{number}.example.com"))
        put(person, "mail", issue("mail.example.com"))
        draft = person.session.draft
        custom = tuple(issue(f"Lab CA {number}", authority=True).pem for number in range(AUTHORITIES))
        lists = evolve(draft.config.certificate_authorities, custom_enabled=True, custom_list=custom)
        draft.config = draft.config.with_(certificate_authorities=lists)
        await person.done(
            "listenerconfig new InboundMail public Management smtp --accept=example.com --certificate=mail",
            "listenerconfig edit InboundMail hostaccess default --tls=preferred --tls_verify=yes",
            "interfaceconfig edit Management --certificate=mail",
            "destconfig setup --certificate=mail",
            "smtproutes new example.com /dev/null",
            'commit "" Y',
        )
        yield made


async def test_fifty_swaps_under_load(place: Place) -> None:
    person = place.person()
    port = place.port("InboundMail")
    bindings = [place.appliance.running()[1].listeners, place.appliance.running()[1].interfaces]
    sockets = [place.port("InboundMail"), place.port("Management", "https")]
    old = await TlsClient.arrive(port)
    load = Load(port)
    clients = [asyncio.create_task(load.run()) for _ in range(CLIENTS)]
    served: list[int] = [old.serial]
    settled: Remains | None = None
    try:
        for number in range(SWAPS):
            if number == SETTLED:
                settled = remains(place)
            fresh = issue("mail.example.com")
            put(person, "mail", fresh)
            await person.done('commit "" Y')
            client = await TlsClient.arrive(port)
            assert client.serial == fresh.certificate.serial_number == await https_serial(place)
            await client.quit()
            served.append(client.serial)
            # Another commit reads the key that has been stored.
            await person.done(f"deliveryconfig setup --max_concurrency={number + 1}", 'commit "" N')
    finally:
        load.ending = True
        await asyncio.gather(*clients)
    assert load.errors == []
    assert load.sessions > SWAPS and load.serials <= set(served) and len(load.serials) > SWAPS // 4

    # The session of before the first swap is still there, with its certificate, and takes a message.
    assert await old.deliver() == 250
    await old.quit()

    config = place.appliance.running()[1]
    assert [config.listeners, config.interfaces] == bindings
    assert (config.listeners["InboundMail"].tls_certificate, config.destination_globals.certificate) == ("mail", "mail")
    assert sockets == [place.port("InboundMail"), place.port("Management", "https")]
    assert len(config.certificates) == PROFILES and len(config.certificate_authorities.custom_list) == AUTHORITIES
    assert not [line for line in place.lines("system_logs") if "fault" in line.lower()]

    async with asyncio.timeout(LIMIT):
        while place.appliance.receiver.connections:
            await asyncio.sleep(0.005)
    assert settled is not None
    left = remains(place)
    # The load was under way when the first count was taken, so the second may only be smaller.
    assert left.snapshots <= settled.snapshots <= 3 + CLIENTS
    assert left.contexts <= settled.contexts + 1
    assert left.descriptors <= settled.descriptors + 2
    assert left.threads <= settled.threads + 4, "pools grow to their size once"
    assert left.secrets <= settled.secrets + 1
    assert left.resident < settled.resident + 60_000, "it levels off after some 100 swaps"


async def test_a_commit_does_not_stop_the_loop(place: Place) -> None:
    """The contexts that verify clients are made anew with all authorities, the system's list among them."""
    person = place.person()
    for _ in range(3):
        put(person, "mail", issue("mail.example.com"))
        pulse = Pulse()
        await pulse.during([person.done('commit "" Y')])
        pulse.check()
