"""showrecipients, deleterecipients, bouncerecipients, delivernow and the commands of single messages (operations.md 4)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import define

from appliance_runtime.clock import FakeClock
from appliance_runtime.queue.envelope import NewMessage
from asyncos_shell.lab.peers import Peer
from tests.support.live import Person, Place, live

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
SINK = "192.0.2.25"


@define
class Lab:
    place: Place
    admin: Person
    sink: Peer
    place_of_sink: socket.socket
    """keeps its port, and refuses, until it starts"""

    async def start_sink(self) -> None:
        port = self.place_of_sink.getsockname()[1]
        self.place_of_sink.close()
        await self.sink.start(port=port)

    async def put(self, *recipients: str, sender: str = "a@client.test", subject: str = "Testing") -> int:
        """A message in the queue; its MID."""
        queue = self.place.appliance.queue
        body = queue.new_body()
        body.write(f"From: {sender}\r\nSubject: {subject}\r\n\r\nnobody reads this\r\n".encode())
        message = NewMessage(
            mid=queue.next_mid(),
            sender=sender,
            recipients=recipients,
            body=body,
            received=self.place.appliance.clock.now(),
            listener="InboundMail",
            bounce_profile="Default",
            direction="inbound",
            icid=1,
        )
        await queue.accept(message)
        return message.mid

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(10):
                while not condition():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"not in time: {what}\n" + "\n".join(self.place.lines("mail_logs"))) from None

    def attempted(self, domain: str) -> int:
        return self.place.appliance.queue.recipients(domain)[1]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Mail for all domains goes to a peer that is down until the test starts it; the clock stands still."""
    sink = Peer("mx.sink.test", behaviour="no-starttls")
    place_of_sink = socket.socket()
    place_of_sink.bind(("127.0.0.1", 0))
    async with live(tmp_path, f"{SINK}:25=127.0.0.1:{place_of_sink.getsockname()[1]}", clock=FakeClock(NOW)) as place:
        made = Lab(place, place.person(), sink, place_of_sink)
        await made.admin.done(f"smtproutes new ALL [{SINK}]", 'commit "x" Y')
        yield made
    place_of_sink.close()
    await sink.stop()


async def three_messages(lab: Lab) -> None:
    await lab.put("bob@d.test", "jim@d.test", "eve@e.test")
    await lab.put("bob@sub.d.test", sender="B@client.test", subject="=?utf-8?q?gr=C3=BC=C3=9Fe_=1B[2J?=")
    await lab.put("bob@e.test", sender="")
    await lab.until(lambda: [lab.attempted(d) for d in ("d.test", "sub.d.test", "e.test")] == [2, 1, 2], "one failed attempt each")


async def test_show(lab: Lab) -> None:
    assert await lab.admin.type("showrecipients", "3") == (
        "Please select how you would like to show messages:\n"
        "1. By recipient host.\n2. By Envelope From address.\n3. All.\n[1]> 3\n\n"
        "Showing messages, please wait.\nNo messages found.\n"
    )
    await three_messages(lab)
    assert await lab.admin.type("showrecipients", "", "D.test") == (
        "Please select how you would like to show messages:\n"
        "1. By recipient host.\n2. By Envelope From address.\n3. All.\n[1]> \n\n"
        "Please enter the hostname for the messages you wish to show.\n[]> D.test\n\n"
        "Showing messages, please wait.\n\n"
        "MID/      Bytes/   Sender/                  Subject\n"
        "[RID]     [Atmps]  Recipient\n"
        "1         60       a@client.test            Testing\n"
        "  [0]       [1]    bob@d.test\n"
        "  [1]       [1]    jim@d.test\n"
    )
    shown, failed = await lab.admin.batch("showrecipients host .d.test")
    assert (shown.splitlines()[2:], failed) == (
        ["2         87       B@client.test            grüße \\x1b[2J", "  [0]       [1]    bob@sub.d.test"],
        False,
    )
    assert [line.split()[0] for line in (await lab.admin.batch("showrecipients sender b@CLIENT.test"))[0].splitlines()[2:]] == ["2", "[0]"]
    assert [line.split()[0] for line in (await lab.admin.batch("showrecipients sender <>"))[0].splitlines()[2:]] == ["3", "[0]"]
    assert (await lab.admin.batch("showrecipients all"))[0].count("[0]") == 3
    assert await lab.admin.batch("showrecipients host nowhere.test") == ("No messages found.\n", False)
    assert (await lab.admin.batch("showrecipients host no_host!"))[1]


async def test_delete_removes_exactly_these_and_tells_nobody(lab: Lab) -> None:
    await three_messages(lab)
    assert await lab.admin.type("deleterecipients", "1", "d.test", "Y") == (
        "Please select how you would like to delete messages:\n"
        "1. By recipient host.\n2. By Envelope From address.\n3. All.\n[1]> 1\n\n"
        "Please enter the hostname for the messages you wish to delete.\n[]> d.test\n\n"
        'Are you sure you want to delete all messages being delivered to "d.test"? [N]> Y\n\n'
        "Deleting messages, please wait.\n1 messages deleted.\n"
    )
    queue = lab.place.appliance.queue
    assert [queue.recipients(d) for d in ("d.test", "sub.d.test", "e.test")] == [(0, 0), (1, 1), (2, 2)]
    assert queue.message_count == 3, "no bounce"
    assert any(line.endswith("Info: Deleted: MID 1 to [0, 1]") for line in lab.place.lines("mail_logs"))
    assert lab.place.appliance.counters.columns("deleted_recips").uptime == 2
    assert "are you sure" in (await lab.admin.type("deleterecipients", "3", "")).lower()
    assert queue.message_count == 3
    assert await lab.admin.batch("deleterecipients all") == ("3 messages deleted.\n", False)
    assert (queue.message_count, queue.active_recipients) == (0, 0)
    assert sum("Message finished MID" in line and "done" in line for line in lab.place.lines("mail_logs")) == 3
    assert await lab.admin.batch("deleterecipients all") == ("0 messages deleted.\n", False)


async def test_bounce_sends_one_bounce_for_each_message(lab: Lab) -> None:
    await lab.put("bob@d.test", "jim@d.test")
    await lab.put("bob@d.test", sender="c@client.test")
    await lab.until(lambda: lab.attempted("d.test") == 3, "one failed attempt each")
    assert await lab.admin.batch("bouncerecipients host d.test") == ("2 messages bounced.\n", False)
    queue = lab.place.appliance.queue
    assert queue.recipients("d.test") == (0, 0)
    assert sorted(m.envelope.recipients[0] for m in queue.messages()) == ["a@client.test", "c@client.test"]
    reason = "Bounced: DCID 0 MID 1 to RID 1 - 5.0.0 - Other address status ('000', ['Bounced by administrator']) []"
    assert any(line.endswith(reason) for line in lab.place.lines("mail_logs"))
    assert lab.place.appliance.counters.columns("other_hard_bounced_recips").uptime == 3
    body = await queue.body(max(m.envelope.mid for m in queue.messages()))
    assert b"Bounced by administrator" in body and b"bob@d.test" in body
    shown = await lab.admin.type("bouncerecipients", "2", "nobody@x.test", "y")
    assert 'Are you sure you want to bounce all messages with the Envelope From address of "nobody@x.test"? [N]> y' in shown
    assert shown.endswith("Bouncing messages, please wait.\n0 messages bounced.\n")


async def test_delivernow_tries_that_domain_at_once(lab: Lab) -> None:
    await three_messages(lab)
    await lab.start_sink()
    assert await lab.admin.type("delivernow", "1", "D.test") == (
        "Please choose an option for scheduling immediate delivery.\n"
        "1. By recipient domain\n2. All messages\n[1]> 1\n\n"
        "Please enter the recipient domain to schedule for delivery.\n[]> D.test\n\n"
        "Scheduling all messages to d.test for delivery.\n"
    )
    await lab.until(lambda: len(lab.sink.messages) == 1, "the delivery")
    assert lab.sink.messages[0].recipients == ("bob@d.test", "jim@d.test")
    assert lab.place.appliance.queue.active_recipients == 3
    await lab.admin.batch("suspenddel 0 e.test")
    assert await lab.admin.batch("delivernow e.test") == ("Deliveries to e.test are suspended.\n", True)
    assert await lab.admin.batch("delivernow all") == ("Scheduling all messages for delivery.\n", False)
    await lab.until(lambda: len(lab.sink.messages) == 2, "the delivery to the domain that is not suspended")
    assert lab.place.appliance.queue.recipients("e.test") == (2, 2)
    await lab.admin.batch("suspenddel 0")
    assert await lab.admin.batch("delivernow all") == ("Mail delivery is suspended.\n", True)


async def test_what_is_suspended_can_be_deleted_too(lab: Lab) -> None:
    await lab.admin.batch("suspenddel 0")
    await lab.put("bob@d.test")
    assert await lab.admin.batch("deleterecipients all") == ("1 messages deleted.\n", False)
    await lab.admin.batch("resumedel")
    assert lab.place.appliance.queue.message_count == 0


async def test_the_work_queue_is_not_the_delivery_queue(lab: Lab) -> None:
    await lab.admin.batch("workqueue pause")
    await lab.put("bob@d.test")
    assert await lab.admin.batch("deleterecipients all") == ("0 messages deleted.\n", False)
    assert lab.place.appliance.queue.unprocessed == 1


async def test_single_messages(lab: Lab) -> None:
    assert await lab.admin.type("oldmessage") == "No messages found.\n"
    await three_messages(lab)
    message = (
        "From: a@client.test\nSubject: Testing\n\n\nMID 1, recipients:\n"
        "[0] bob@d.test, attempts 1, next attempt Fri Mar 06 09:01:00 2026 GMT, [Errno 111] Connection refused\n"
        "[1] jim@d.test, attempts 1, next attempt Fri Mar 06 09:01:00 2026 GMT, [Errno 111] Connection refused\n"
        "[2] eve@e.test, attempts 1, next attempt Fri Mar 06 09:01:00 2026 GMT, [Errno 111] Connection refused\n"
    )
    assert await lab.admin.type("oldmessage") == f"MID 1: 0 secs old\n{message}"
    assert await lab.admin.batch("showmessage 1") == (message, False)
    assert await lab.admin.batch("showmessage 99") == ("MID 99 was not found.\n", True)
    shown = await lab.admin.type("removemessage", "1", "y")
    assert shown.endswith("From: a@client.test\nSubject: Testing\n\nRemove this message? [N]> y\nMID 1 has been removed.\n")
    assert await lab.admin.batch("removemessage 1 Y") == ("MID 1 was not found.\n", True)
    assert await lab.admin.batch("removemessage 2 Y") == ("MID 2 has been removed.\n", False)
    assert lab.place.appliance.queue.message_count == 1
    assert "nobody reads this" not in (await lab.admin.batch("showmessage 3"))[0]
