"""suspend, resume, workqueue at a real appliance: what is closed, what goes on, what survives (operations.md 4.1, 5)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from attrs import define

from asyncos_shell.lab.peers import Peer
from tests.support.live import Person, Place, live

SINK = "192.0.2.25"
LISTENERS = (
    "listenerconfig new InboundMail public Management smtp --accept=d.test,other.test",
    "listenerconfig new OutboundMail private Management smtp --port=26 --relay=127.0.0.1",
    f"smtproutes new ALL [{SINK}]",
)


@define
class Lab:
    place: Place
    admin: Person
    sink: Peer

    async def commit(self, *lines: str) -> None:
        await self.admin.done(*lines, 'commit "test" Y')

    @property
    def delivered(self) -> int:
        return len(self.sink.messages)


@pytest.fixture
async def sink() -> AsyncIterator[Peer]:
    peer = Peer("mx.sink.test", behaviour="no-starttls")
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
async def lab(tmp_path: Path, sink: Peer) -> AsyncIterator[Lab]:
    async with live(tmp_path, f"{SINK}:25=127.0.0.1:{sink.port}") as place:
        made = Lab(place, place.person(), sink)
        await made.commit(*LISTENERS)
        yield made


@define
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def command(self, text: str) -> str:
        self.writer.write(f"{text}\r\n".encode())
        return await self.reply()

    async def reply(self) -> str:
        async with asyncio.timeout(10):
            while (line := (await self.reader.readline()).decode())[3:4] == "-":
                pass
            return line.removesuffix("\r\n")

    async def deliver(self, recipient: str = "joe@d.test") -> str:
        for line in ("MAIL FROM:<a@client.test>", f"RCPT TO:<{recipient}>", "DATA"):
            assert (await self.command(line))[0] in "23"
        return await self.command("Subject: x\r\n\r\nx\r\n.")


Connect = Callable[[Place], Awaitable[Client]]


@pytest.fixture
async def connected() -> AsyncIterator[Connect]:
    """Opens sessions at the listener `InboundMail`, ended with the test."""
    clients: list[Client] = []

    async def connect(place: Place) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", place.port("InboundMail")))
        clients.append(client)
        assert (await client.reply()).startswith("220")
        assert (await client.command("EHLO client.test")).startswith("250")
        return client

    yield connect
    for client in clients:
        client.writer.close()
        with contextlib.suppress(ConnectionError):
            await client.writer.wait_closed()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not in time: {what}") from None


async def system_status(admin: Person) -> str:
    shown = await admin.type("status")
    return next(line for line in shown.splitlines() if line.startswith("System status:")).partition(":")[2].strip()


# -- receiving ------------------------------------------------------------------------------------------------------------


async def test_one_listener_is_suspended_and_the_other_answers(lab: Lab, connected: Connect) -> None:
    inbound, outbound = lab.place.port("InboundMail"), lab.place.port("OutboundMail")
    idle, busy = await connected(lab.place), await connected(lab.place)
    await busy.command("MAIL FROM:<a@client.test>")
    suspending = asyncio.create_task(lab.admin.type("suspendlistener", "InboundMail", "10"))
    assert await idle.reply() == "421 mail.example.com Service closing transmission channel"
    assert await busy.command("RCPT TO:<joe@d.test>") == "250 recipient <joe@d.test> ok"
    await busy.command("DATA")
    assert await busy.command("Subject: x\r\n\r\nx\r\n.") == "250 ok:  Message 1 accepted"
    assert await busy.reply() == "421 mail.example.com Service closing transmission channel"
    assert (await suspending) == (
        "Choose the listener(s) you wish to suspend.\n"
        "Separate multiple entries with commas.\n"
        "1. All\n"
        "2. InboundMail\n"
        "3. OutboundMail\n"
        "[1]> InboundMail\n"
        "\n"
        "Enter the number of seconds to wait before abruptly closing connections.\n"
        "[30]> 10\n"
        "\n"
        "Waiting for listeners to exit...\n"
        "Receiving suspended for InboundMail.\n"
    )
    assert not answers(inbound) and answers(outbound)
    assert await system_status(lab.admin) == "Online"
    assert "Receiving suspended for InboundMail by admin." in lab.place.lines("system_logs")[-1]
    await lab.commit("listenerconfig edit OutboundMail limits 500 50", "listenerconfig edit InboundMail name Renamed")
    assert not answers(inbound), "a commit does not resume"
    assert await lab.admin.batch("resumelistener") == ("Receiving resumed.\n", False)
    assert answers(lab.place.port("Renamed"))


async def test_a_session_in_the_middle_of_a_message_is_cut_when_the_seconds_are_over(lab: Lab, connected: Connect) -> None:
    client = await connected(lab.place)
    for line in ("MAIL FROM:<a@client.test>", "RCPT TO:<joe@d.test>", "DATA"):
        await client.command(line)
    assert await lab.admin.batch("suspendlistener 0 InboundMail") == ("Receiving suspended for InboundMail.\n", False)
    assert await client.reply() == "421 mail.example.com Service closing transmission channel"
    assert await client.reader.read() == b""
    assert await lab.admin.batch("suspendlistener 0 InboundMail") == ("Receiving suspended for InboundMail.\n", False)


async def test_a_listener_that_is_made_while_everything_is_suspended_is_so_too(lab: Lab) -> None:
    assert await lab.admin.batch("suspendlistener 0 all") == ("Receiving suspended.\n", False)
    assert await system_status(lab.admin) == "Receiving Suspended"
    await lab.commit("listenerconfig new Third public Management smtp --port=27 --accept=d.test")
    assert [e.owner for e, _ in lab.place.appliance.sockets if e.service == "smtp"] == []
    assert await lab.admin.type("resumelistener", "4") == (
        "Choose the listener(s) you wish to resume.\n"
        "Separate multiple entries with commas.\n"
        "1. All\n"
        "2. InboundMail\n"
        "3. OutboundMail\n"
        "4. Third\n"
        "[1]> 4\n"
        "\n"
        "Receiving resumed for Third.\n"
    )
    assert [e.owner for e, _ in lab.place.appliance.sockets if e.service == "smtp"] == ["Third"]
    assert await system_status(lab.admin) == "Online"
    assert await lab.admin.type("resumelistener", "") == (
        "Choose the listener(s) you wish to resume.\n"
        "Separate multiple entries with commas.\n"
        "1. All\n"
        "2. InboundMail\n"
        "3. OutboundMail\n"
        "[1]> \n"
        "\n"
        "Receiving resumed.\n"
    )
    assert await lab.admin.type("resumelistener") == "Receiving is not suspended.\n"


async def test_a_busy_port_keeps_the_listener_suspended(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        async with live(tmp_path, f"*:2525=127.0.0.1:{taken}") as place:
            admin = place.person()
            assert await admin.batch("suspend 0") == ("Receiving suspended.\nMail delivery suspended.\n", False)
            await admin.done(
                "listenerconfig new InboundMail public Management smtp --port=2525 --accept=d.test",
                'commit "suspended, so nothing is bound" Y',
            )
            refused = f'Error: Listener "InboundMail": cannot listen on 192.168.42.42 port 2525 (mapped to 127.0.0.1 port {taken}): '
            refused += "Address already in use"
            assert await admin.batch("resumelistener InboundMail") == (f"{refused}\n", True)
            assert await admin.type("resume") == f"{refused}\nMail delivery resumed.\n"
            assert await system_status(admin) == "Receiving Suspended"
            other.close()
            assert await admin.type("resume") == "Receiving resumed.\nMail delivery is not suspended.\n"
            assert answers(taken)


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("suspendlistener 3601", "The value must be an integer from 0 to 3600.\n"),
        ("suspendlistener Nobody", 'There is no listener "Nobody".\n'),
        ("resumelistener InboundMail", "Receiving is not suspended for InboundMail.\n"),
        ("resumedel d.test", "Mail delivery is not suspended for d.test.\n"),
        ("suspend 1 2", "Invalid arguments when processing suspend:\nToo many arguments.\n: '2'\n"),
    ],
)
async def test_wrong_lines_change_nothing(lab: Lab, line: str, output: str) -> None:
    assert await lab.admin.batch(line) == (output, True)
    assert await system_status(lab.admin) == "Online"
    assert answers(lab.place.port("InboundMail"))


# -- shutdown -----------------------------------------------------------------------------------------------------------


async def test_shutdown_ends_mail_and_records_no_suspension(tmp_path: Path, sink: Peer, connected: Connect) -> None:
    rule = f"{SINK}:25=127.0.0.1:{sink.port}"
    async with live(tmp_path, rule) as place:
        admin = place.person()
        await admin.done(*LISTENERS, 'commit "x" Y')
        client = await connected(place)
        assert (await admin.type("shutdown", "5", "")).endswith("Are you sure you want to shut down the appliance? [N]> \n")
        assert not place.appliance.shutdown_asked.is_set()
        assert await admin.type("shutdown", "5", "y") == (
            "Enter the number of seconds to wait before abruptly closing connections.\n"
            "[30]> 5\n"
            "\n"
            "Are you sure you want to shut down the appliance? [N]> y\n"
            "\n"
            "Waiting for listeners to exit...\n"
            "Receiving suspended.\n"
            "Waiting for outgoing deliveries to finish...\n"
            "Mail delivery suspended.\n"
        )
        assert await client.reply() == "421 mail.example.com Service closing transmission channel"
        assert place.appliance.shutdown_asked.is_set()
    async with live(tmp_path, rule) as place:
        assert await system_status(place.person()) == "Online"
        assert answers(place.port("InboundMail"))


async def test_the_end_of_the_program_does_not_wait_for_a_long_suspension(tmp_path: Path, connected: Connect) -> None:
    async with live(tmp_path) as place:
        admin = place.person()
        await admin.done(*LISTENERS, 'commit "x" Y')
        client = await connected(place)
        await client.command("MAIL FROM:<a@client.test>")
        suspending = asyncio.create_task(admin.batch("suspendlistener 3600"))
        await until(lambda: place.appliance.suspending.now.receiving, "the suspension")
        assert not suspending.done()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "suspending"] == []
    await asyncio.wait([suspending], timeout=5)
    assert suspending.done()
    assert (await client.reply()).startswith("421 ")


# -- delivery -------------------------------------------------------------------------------------------------------------


async def test_deliveries_to_one_domain_are_suspended(lab: Lab, connected: Connect) -> None:
    assert await lab.admin.type("suspenddel", "5", "D.test") == (
        "Enter the number of seconds to wait before abruptly closing connections.\n"
        "[30]> 5\n"
        "\n"
        "Enter one or more domains [comma-separated] to which you want to suspend delivery.\n"
        "[ALL]> D.test\n"
        "\n"
        "Waiting for outgoing deliveries to finish...\n"
        "Mail delivery suspended for d.test.\n"
    )
    client = await connected(lab.place)
    await client.deliver("joe@d.test")
    await client.deliver("joe@other.test")
    await client.deliver("jim@d.test")
    await until(lambda: lab.delivered == 1, "the other domain")
    suspended = [line for line in lab.place.lines("mail_logs") if line.endswith("Deliveries are currently suspended [d.test]")]
    assert len(suspended) == 2, "one line for each message"
    assert lab.place.appliance.queue.recipients("d.test") == (2, 0)
    assert await system_status(lab.admin) == "Online"
    assert await lab.admin.type("resumedel", "2") == (
        "Choose the domain(s) to which you wish to resume delivery.\n"
        "Separate multiple entries with commas.\n"
        "1. All\n"
        "2. d.test\n"
        "[1]> 2\n"
        "\n"
        "Mail delivery resumed.\n"
    )
    await until(lambda: lab.delivered == 3, "the rest")


async def test_a_transaction_that_takes_too_long_is_a_soft_bounce(tmp_path: Path, connected: Connect) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow.test ESMTP\r\n")
        while line := await reader.readline():
            if line.startswith(b"MAIL"):
                begun.set()
                continue
            writer.write(b"250 ok\r\n")
        writer.close()

    begun = asyncio.Event()
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, live(tmp_path, f"{SINK}:25=127.0.0.1:{port}") as place:
        admin = place.person()
        await admin.done(*LISTENERS, 'commit "x" Y')
        client = await connected(place)
        await client.deliver()
        await asyncio.wait_for(begun.wait(), 10)
        assert await admin.batch("suspenddel 0") == ("Mail delivery suspended.\n", False)
        assert await system_status(admin) == "Delivery Suspended"
        await until(lambda: place.appliance.queue.recipients("d.test") == (1, 1), "one failed attempt")
        assert any("Delayed: DCID 1 MID 1 to RID 0 - 4.4.0" in line for line in place.lines("mail_logs"))
        assert await admin.batch("suspendlistener 0") == ("Receiving suspended.\n", False)
        assert await system_status(admin) == "Offline"
        assert await admin.type("resume") == "Receiving resumed.\nMail delivery resumed.\n"
        assert await system_status(admin) == "Online"


async def test_everything_suspended_survives_a_restart(tmp_path: Path, sink: Peer, connected: Connect) -> None:
    rule = f"{SINK}:25=127.0.0.1:{sink.port}"
    async with live(tmp_path, rule) as place:
        admin = place.person()
        await admin.done(*LISTENERS, 'commit "x" Y')
        await admin.batch("suspenddel 0")
        await (await connected(place)).deliver()
        assert await admin.type("suspend", "1") == (
            "Enter the number of seconds to wait before abruptly closing connections.\n"
            "[30]> 1\n"
            "\n"
            "Waiting for listeners to exit...\n"
            "Receiving suspended.\n"
            "Waiting for outgoing deliveries to finish...\n"
            "Mail delivery suspended.\n"
        )
    async with live(tmp_path, rule) as place:
        admin = place.person()
        assert await system_status(admin) == "Offline"
        assert [e.owner for e, _ in place.appliance.sockets if e.service == "smtp"] == []
        assert sink.messages == []
        assert (place.appliance.running()[0], admin.session.draft.changed) == (2, False)
        assert await admin.type("resume") == "Receiving resumed.\nMail delivery resumed.\n"
        await until(lambda: len(sink.messages) == 1, "the message of the run before")


# -- work queue -----------------------------------------------------------------------------------------------------------


async def test_a_paused_work_queue_accepts_and_keeps(tmp_path: Path, sink: Peer, connected: Connect) -> None:
    rule = f"{SINK}:25=127.0.0.1:{sink.port}"
    async with live(tmp_path, rule) as place:
        admin = place.person()
        await admin.done(*LISTENERS, 'commit "x" Y')
        menu = "Choose the operation you want to perform:\n- STATUS - Display work queue status\n"
        operations = "- RATE - Display work queue statistics over time\n[]> "
        assert (
            await admin.type("workqueue", "pause", "y", "checking LDAP server", "")
            == "Status:   Operational\nMessages: 0\n\n" + menu + "- PAUSE - Pause the work queue\n" + operations
            + "pause\n\nManually pause work queue?  This will only affect unprocessed messages.  [N]> y\n\n"
            "Reason for pausing work queue:\n[]> checking LDAP server\n\n"
            "Status:   Paused by admin: checking LDAP server\nMessages: 0\n\n"
            + menu
            + "- RESUME - Resume the work queue\n"
            + operations
            + "\n"
        )
        assert "Work queue paused: checking LDAP server" in place.lines("system_logs")[-1]
        client = await connected(place)
        assert await client.deliver("joe@d.test") == "250 ok:  Message 1 accepted"
        assert await client.deliver("joe@other.test") == "250 ok:  Message 2 accepted"
        assert await system_status(admin) == "Work Queue Paused"
        figures = await admin.type("status")
        assert "    Messages In Work Queue             2\n" in figures
        assert "    Active Recipients                  0\n" in figures
        assert "Oldest Message:                No Messages" not in figures
    async with live(tmp_path, rule) as place:
        admin = place.person()
        shown, failed = await admin.batch("workqueue status")
        assert not failed
        assert shown.endswith("Status:   Paused by admin: checking LDAP server\nMessages: 2\n")
        assert shown.startswith("Status as of: ")
        assert sink.messages == []
        assert await admin.batch("workqueue resume") == ("", False)
        await until(lambda: len(sink.messages) == 2, "both messages")
        assert place.appliance.queue.unprocessed == 0
        assert await system_status(admin) == "Online"
        await (await connected(place)).deliver()
        await until(lambda: len(sink.messages) == 3, "a later message")
    async with live(tmp_path, rule) as place:
        assert await system_status(place.person()) == "Online"


async def test_the_pause_of_yesterday_holds_no_message_of_today(lab: Lab, connected: Connect) -> None:
    await lab.admin.batch("workqueue pause")
    client = await connected(lab.place)
    await client.deliver()
    shown, _ = await lab.admin.batch("workqueue status")
    assert shown.endswith("Status:   Paused by admin\nMessages: 1\n")
    await lab.admin.batch("suspenddel 0 d.test")
    await lab.admin.batch("workqueue resume")
    await lab.admin.batch("workqueue pause again")
    assert lab.place.appliance.queue.unprocessed == 0, "it waits for its domain now"
    assert lab.place.appliance.queue.recipients("d.test") == (1, 0)
    await lab.admin.batch("resumedel")
    await until(lambda: lab.delivered == 1, "the message of the first pause")
