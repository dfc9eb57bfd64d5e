"""hoststatus, tophosts, hostrate, topin, rate at a real appliance with a real name server and peers (operations.md 3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, field

from appliance_runtime.clock import FakeClock
from appliance_runtime.queue.envelope import NewMessage
from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.peers import Peer
from commands.hoststatus import ttl_text
from tests.support.live import Person, Place, live

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
MX, DOWN = "192.0.2.10", "192.0.2.11"


@define
class Lab:
    place: Place
    admin: Person
    dns: LabDns
    peer: Peer
    clients: list[asyncio.StreamWriter] = field(factory=list)

    async def put(self, *recipients: str) -> None:
        queue = self.place.appliance.queue
        body = queue.new_body()
        body.write(b"Subject: x\r\n\r\nx\r\n")
        await queue.accept(
            NewMessage(
                mid=queue.next_mid(),
                sender="a@client.test",
                recipients=recipients,
                body=body,
                received=self.place.appliance.clock.now(),
                listener="InboundMail",
                bounce_profile="Default",
                direction="inbound",
                icid=1,
            )
        )

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(10):
                while not condition():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"not in time: {what}\n" + "\n".join(self.place.lines("mail_logs"))) from None

    async def idle(self, domain: str) -> None:
        """End the connection that waits for more mail."""
        agent = self.place.appliance.agent
        agent.configuration_changed()
        await self.until(lambda: agent.connections(domain) == (0, 0), "no connection")

    def logged(self, text: str) -> bool:
        return any(text in line for line in self.place.lines("mail_logs"))


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """partner.test has a peer; nobody answers for other.test."""
    dns, peer = LabDns(), Peer("mx1.partner.test", behaviour="no-starttls")
    await dns.start()
    await peer.start()
    for record in (
        "partner.test MX 10 mx1.partner.test.",
        f"mx1.partner.test A {MX}",
        "other.test MX 20 mx.other.test.",
        f"mx.other.test A {DOWN}",
        "tls.test MX 10 mx1.partner.test.",
    ):
        dns.set(record)
    rules = (f"{MX}:25=127.0.0.1:{peer.port}", f"{DOWN}:25=127.0.0.1:1")
    async with live(tmp_path, *rules, clock=FakeClock(NOW), dns=(f"127.0.0.1:{dns.port}",)) as place:
        made = Lab(place, place.person(), dns, peer)
        yield made
        for writer in made.clients:
            writer.close()
    await peer.stop()
    await dns.stop()


async def test_a_host_that_takes_and_refuses(lab: Lab) -> None:
    assert await lab.admin.batch("hoststatus partner.test") == ('"partner.test" was not found in the list of destinations.\n', True)
    lab.peer.rcpt_replies["nobody@partner.test"] = "550 5.1.1 User unknown"
    lab.peer.rcpt_replies["later@partner.test"] = "451 4.3.0 later"
    await lab.put("bob@partner.test", "nobody@partner.test", "later@partner.test")
    await lab.until(lambda: lab.logged("Message done DCID") and lab.logged("Bounced:"), "both ends")
    await lab.idle("partner.test")
    shown = await lab.admin.type("hoststatus", "Partner.test")
    assert shown == (
        "Recipient host:\n"
        "[]> Partner.test\n"
        "\n"
        "Host mail status for: 'partner.test'\n"
        "Status as of:         Fri Mar 06 09:00:00 2026 GMT\n"
        "Host up/down:         up\n"
        "\n"
        "Counters:\n"
        "  Queue\n"
        "    Soft Bounced Events                  1\n"
        "  Completion\n"
        "    Completed Recipients                 2\n"
        "      Hard Bounced Recipients            1\n"
        "        DNS Hard Bounces                 0\n"
        "        5XX Hard Bounces                 1\n"
        "        Filter Hard Bounces              0\n"
        "        Expired Hard Bounces             0\n"
        "        Other Hard Bounces               0\n"
        "      Delivered Recipients               1\n"
        "      Deleted Recipients                 0\n"
        "\n"
        "Gauges:\n"
        "  Queue\n"
        "    Active Recipients                    1\n"
        "      Unattempted Recipients             0\n"
        "      Attempted Recipients               1\n"
        "  Connections\n"
        "    Current Outbound Connections         0\n"
        "    Pending Outbound Connections         0\n"
        "\n"
        "Oldest Message        0 secs\n"
        "Last Activity         Fri Mar 06 09:00:00 2026 GMT\n"
        "\n"
        "Ordered IP addresses: (expiring at Fri Mar 06 10:00:00 2026 GMT)\n"
        "    Preference   IPs\n"
        f"    10           {MX}\n"
        "\n"
        "MX Records:\n"
        "    Preference   TTL        Hostname\n"
        "    10           1h         mx1.partner.test\n"
        "\n"
        "Last 5XX Error:\n"
        "----------\n"
        "550 5.1.1 User unknown\n"
        f"(at Fri Mar 06 09:00:00 2026 GMT) IP: {MX}\n"
        "----------\n"
        "\n"
        "Virtual gateway information:\n"
        "============================================================\n"
        "192.168.42.42:\n"
        "    Host up/down:       up\n"
        "    Last Activity       Fri Mar 06 09:00:00 2026 GMT\n"
        "    Recipients          1\n"
    ), shown


async def test_the_last_tls_error_names_the_level(lab: Lab) -> None:
    await lab.admin.done("destconfig new tls.test --tls=required_verify", 'commit "x" Y')
    await lab.put("bob@tls.test")
    await lab.until(lambda: lab.logged("TLS was required but"), "the refusal")
    await lab.until(lambda: lab.logged("Delayed:"), "the record")
    shown, failed = await lab.admin.batch("hoststatus tls.test")
    assert not failed
    assert (
        "Last TLS Error: Required - Verify\n----------\nSTARTTLS command not supported\n"
        f"(at Fri Mar 06 09:00:00 2026 GMT) IP: {MX}\n----------\n" in shown
    )
    assert "Host up/down:         up\n" in shown
    await lab.admin.done(f"smtproutes new tls.test [{MX}]", 'commit "x" Y')
    shown, _ = await lab.admin.batch("hoststatus tls.test")
    assert f"Ordered IP addresses:\n    Preference   IPs\n    0            {MX}\n" in shown
    assert "MX Records:" not in shown


async def test_tophosts_and_a_host_that_comes_back(lab: Lab) -> None:
    assert (await lab.admin.batch("tophosts active_rcpts"))[0].endswith("Bounced    Bounced\n")
    await lab.put("bob@partner.test", "jim@partner.test")
    await lab.put("eve@other.test")
    await lab.until(lambda: len(lab.peer.messages) == 1 and lab.logged("Delayed:"), "both attempts")
    await lab.idle("partner.test")
    shown = await lab.admin.type("tophosts", "")
    assert shown == (
        "Sort results by:\n"
        "\n"
        "1. Active Recipients\n"
        "2. Connections Out\n"
        "3. Delivered Recipients\n"
        "4. Hard Bounced Recipients\n"
        "5. Soft Bounced Events\n"
        "[1]> \n"
        "\n"
        "Status as of:                   Fri Mar 06 09:00:00 2026 GMT\n"
        "Hosts marked with '*' were down as of the last delivery attempt.\n"
        "\n"
        "                                  Active  Conn.   Deliv.       Soft       Hard\n"
        "#   Recipient Host                Recip.    Out   Recip.    Bounced    Bounced\n"
        "\n"
        "1*  other.test                         1      0        0          1          0\n"
        "2   partner.test                       0      0        2          0          0\n"
    )
    assert (await lab.admin.batch("tophosts deliv_recip"))[0].splitlines()[-2].startswith("1   partner.test")
    assert "Host up/down:         down\n" in (await lab.admin.batch("hoststatus other.test"))[0]
    assert (await lab.admin.batch("tophosts nothing"))[1]
    assert "    Destinations In Memory             2\n" in (await lab.admin.batch("status detail"))[0]


async def test_topin_counts_open_connections(lab: Lab) -> None:
    await lab.admin.done("listenerconfig new InboundMail public Management smtp --accept=d.test", 'commit "x" Y')
    head = "#   Remote hostname            Remote IP addr.   listener        Conn. In"
    assert (await lab.admin.type("topin")) == f"Status as of:                   Fri Mar 06 09:00:00 2026 GMT\n\n{head}\n"
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.2"):
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.place.port("InboundMail"), local_addr=(source, 0))
        lab.clients.append(writer)
        assert (await reader.readline()).startswith(b"220")
    rows = (await lab.admin.type("topin")).splitlines()[3:]
    assert rows == [
        "1   unknown                    127.0.0.2         InboundMail            2",
        "2   unknown                    127.0.0.1         InboundMail            1",
    ]
    assert {len(row) for row in rows} == {len(head)}


async def test_rates(lab: Lab) -> None:
    await lab.put("bob@partner.test")
    await lab.until(lambda: len(lab.peer.messages) == 1, "the delivery")
    shown, failed = await lab.admin.batch("hostrate partner.test 5 1")
    assert (shown, failed) == (
        "Time      Host     CrtCncOut  ActvRcp  ActvRcp DlvRcp  HrdBncRcp SftBncEvt\n"
        "          Status                      Delta  Delta      Delta     Delta\n"
        f"09:00:00      up{shown.splitlines()[2][16:28]}        0        0      0          0         0\n",
        False,
    )
    shown, _ = await lab.admin.batch("rate 10 1")
    head, units, row = shown.splitlines()
    assert (head, units) == (
        "Time      Connections Recipients          Recipients          Queue",
        "          In    Out  Received      Delta Completed      Delta K-Used",
    )
    assert row.startswith("09:00:00   0") and len(row) == 68
    assert await lab.admin.batch("hostrate nowhere.test 5") == ('"nowhere.test" was not found in the list of destinations.\n', True)
    assert (await lab.admin.batch("rate 0"))[1]


async def test_a_row_for_every_interval(lab: Lab) -> None:
    displaying = asyncio.create_task(lab.admin.batch("workqueue rate 10 3"))
    for _ in range(2):
        await asyncio.sleep(0.02)
        await lab.place.appliance.clock.advance(10)  # type: ignore[attr-defined]
    shown, failed = await asyncio.wait_for(displaying, 5)
    assert not failed
    assert [line.split()[0] for line in shown.splitlines()[1:]] == ["09:00:00", "09:00:10", "09:00:20"]


async def test_a_display_ends_with_the_input(lab: Lab) -> None:
    shown = await lab.admin.type("rate", "5")
    assert shown.startswith(
        "Enter the number of seconds between displays.\n[10]> 5\n\nType Ctrl-C to return to the main prompt.\n\nTime      Connections"
    )


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (45, "45s"), (3144, "52m24s"), (3900, "1h5m"), (90061, "25h1m1s"), (-5, "0s")])
def test_times_to_live(seconds: int, text: str) -> None:
    assert ttl_text(timedelta(seconds=seconds)) == text
