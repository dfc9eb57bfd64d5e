"""Alerts from being raised to the mailbox, against real name servers and mail servers (alertconfig.md 3 to 7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path

import attrs
import pytest

from appliance_runtime.addresses import AddressMap
from appliance_runtime.alerts import Alerts
from appliance_runtime.alerts import sending as sending_module
from appliance_runtime.clock import FakeClock, settle
from appliance_runtime.dns.resolver import Resolver
from appliance_runtime.logs.writer import MemoryLogs
from appliance_runtime.product import Product
from appliance_runtime.snapshot import Snapshot
from appliance_runtime.tls import Credentials, client_context
from appliance_state.model import Config
from appliance_state.model.alerts import AlertRecipient
from appliance_state.model.dns import Dns, DnsServer
from appliance_state.model.routes import RouteHost, SmtpRoute
from appliance_state.model.system import System
from appliance_state.model.tls_settings import FACTORY_CIPHERS, FACTORY_METHODS, SslSettings
from appliance_state.table import Table
from asyncos_shell.lab.authority import Authority, rsa_root, self_signed
from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.peers import Peer

START = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
TEXT = "Unable to deliver to the domain partner.test: a TLS connection is required but could not be established. STARTTLS was not offered"
SUBJECT = "Warning <System> mail3.example.com: Unable to deliver to the domain partner.test: a TLS connecti..."
OPS, OTHER = "ops@ops.test", "other@ops.test"
TLS_FAILED = f"TLS connection failed because of an unsupported protocol issue. Alert message is sent in plain text to {OPS}"
ATTEMPT = f"Internal SMTP system attempting to send a message to {OPS} with subject '{SUBJECT}' (attempt #%d)."
SENT = [
    f"Internal SMTP system successfully sent a message to {OPS} with subject '{SUBJECT}'.",
    f'A System/Warning alert was sent to {OPS} with subject "{SUBJECT}".',
]
GIVEN_UP = [
    f"Internal SMTP giving up on message to {OPS} with subject '{SUBJECT}': Unrecoverable error.",
    f'Error while sending alert: Unable to send System/Warning alert to {OPS} with subject "{SUBJECT}".',
]


def failed(text: str, host: str = "127.0.10.99:25") -> str:
    return f"Internal SMTP Error: Failed to send message to host {host} for recipient {OPS}: {text}."


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


@attrs.define
class World:
    """An appliance that alerts, its name server, and the mail server of ops.test."""

    config: Config
    clock: FakeClock
    logs: MemoryLogs
    peer: Peer
    second: Peer
    dns: LabDns
    alerts: Alerts
    context: object
    stored: Path

    def snapshot(self) -> Snapshot:
        return Snapshot(
            generation=1, config=self.config, receiving={}, inbound_contexts={}, gui_contexts={},
            outbound_context=self.context, anchors=(),  # type: ignore[arg-type]
        )  # fmt: skip

    def subscribe(self, address: str, *kinds: tuple[str, str]) -> None:
        recipient = AlertRecipient(address=address, subscriptions=frozenset(kinds))
        self.set(recipients=self.config.alerts.recipients.put(recipient))

    def set(self, **changes: object) -> None:
        self.config = self.config.with_(alerts=attrs.evolve(self.config.alerts, **changes))

    def raise_(self, domain: str = "partner.test") -> None:
        self.alerts.raise_("tls.required", domain, "System", "Warning", TEXT.replace("partner.test", domain))

    async def lines(self, count: int) -> list[str]:
        """The log, once it has so many lines."""
        await until(lambda: len(self.logs.lines) >= count)
        await settle()
        return self.logs.lines


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    identity = self_signed(START, common_name="mx1.ops.test")
    peers = Peer("mx1.ops.test", identity), Peer("mx2.ops.test", identity)
    dns = LabDns(
        "ops.test MX 10 mx1.ops.test", "ops.test MX 20 mx2.ops.test", "mx1.ops.test A 127.0.10.99", "mx2.ops.test A 127.0.10.98",
        "relay.test A 127.0.10.98", "null.test MX 0 .",
    )  # fmt: skip
    for server in (*peers, dns):
        await server.start()
    clock = FakeClock(START)
    logs = MemoryLogs(clock)
    places = AddressMap.parse(
        [
            f"192.0.2.53:53=127.0.0.1:{dns.port}",
            f"127.0.10.99:25=127.0.0.1:{peers[0].port}",
            *(f"127.0.10.98:{port}=127.0.0.1:{peers[1].port}" for port in (25, 2525)),
        ]
    )
    settings = Dns(servers=Table([DnsServer(address="192.0.2.53")]))
    config = Config().with_(system=System(hostname="mail3.example.com"), dns=settings)
    own = self_signed(START, common_name="mail3.example.com")
    certificate = own.pem.decode()
    context = client_context(Credentials(certificate=certificate, private_key=own.pem), methods=FACTORY_METHODS, ciphers=FACTORY_CIPHERS)
    made = World(config, clock, logs, *peers, dns, None, context, tmp_path / "alerts.jsonl")  # type: ignore[arg-type]
    made.alerts = Alerts(
        made.snapshot, logs, clock, Resolver(settings, clock, places, net_timeout_scale=0.1), places, Product(), made.stored,
        net_timeout_scale=0.1,
    )  # fmt: skip
    made.subscribe(OPS, ("System", "Warning"))
    yield made
    await made.alerts.close()
    for server in (*peers, dns):
        await server.stop()


async def test_one_mail_in_tls_with_the_confirmed_lines(world: World) -> None:
    world.raise_()
    assert await world.lines(3) == [ATTEMPT % 0, *SENT]
    (mail,) = world.peer.messages
    assert (mail.sender, mail.recipients, mail.tls) == ("alert@mail3.example.com", (OPS,), "TLSv1.3")
    message = message_from_bytes(mail.octets)
    assert message["Subject"] == SUBJECT
    assert message["To"] == OPS
    assert message["Message-ID"].endswith("@mail3.example.com>")
    assert f"The Warning message is:\r\n\r\n{TEXT}\r\n\r\nVersion: 15.5.1-055\r\n" in mail.octets.decode()
    assert world.peer.visits[0].sni == "mx1.ops.test"
    assert world.peer.visits[0].commands[-1] == "QUIT"


async def test_the_client_certificate_is_sent_when_asked_for(world: World) -> None:
    now = datetime.now(UTC)  # the peer verifies by real time
    authority = Authority.root("Clients", now)
    world.peer.client_anchors = [authority.pem]
    mine = authority.issue(now, common_name="mail3.example.com", usages=())
    pem = mine.pem.decode()
    world.context = client_context(Credentials(certificate=pem, private_key=mine.pem), methods=FACTORY_METHODS, ciphers=FACTORY_CIPHERS)
    world.raise_()
    await world.peer.wait(1)
    assert world.peer.visits[0].client_certificate == mine.der[0]


@pytest.mark.parametrize("behaviour", ["220-then-close", "220-then-garbage", "220-then-inject", "handshake-fail", "ehlo-fails-after-tls"])
async def test_clear_text_after_a_failed_handshake(world: World, behaviour: str) -> None:
    world.peer.behaviour = behaviour
    world.raise_()
    assert await world.lines(4) == [ATTEMPT % 0, TLS_FAILED, *SENT]
    (mail,) = world.peer.messages
    assert (mail.tls, mail.visit) == (None, 1)
    assert "STARTTLS" not in world.peer.visits[1].commands


async def test_a_handshake_that_hangs_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending_module, "LIMIT", 0.5)
    world.peer.behaviour = "handshake-hang"
    world.raise_()
    assert await world.lines(4) == [ATTEMPT % 0, TLS_FAILED, *SENT]


async def test_clear_text_after_our_certificate_was_rejected(world: World) -> None:
    world.peer.client_anchors = [Authority.root("Somebody else", START).pem]
    world.peer.require = True
    world.raise_()
    assert await world.lines(4) == [ATTEMPT % 0, TLS_FAILED, *SENT]


@pytest.mark.parametrize("behaviour", ["no-starttls", "starttls-454", "no-esmtp"])
async def test_clear_text_on_the_same_connection(world: World, behaviour: str) -> None:
    world.peer.behaviour = behaviour
    world.raise_()
    assert await world.lines(3) == [ATTEMPT % 0, *SENT]
    assert (world.peer.messages[0].tls, len(world.peer.visits)) == (None, 1)


@pytest.mark.parametrize(
    ("settings", "tls"),
    [
        (SslSettings(), "TLSv1.3"),
        (SslSettings(peer_cert_fqdn=True), None),
        (SslSettings(peer_cert_x509=True), None),
    ],
)
async def test_optional_checks_of_the_certificate(world: World, settings: SslSettings, tls: str | None) -> None:
    world.config = world.config.with_(ssl=settings)
    world.peer.identity = rsa_root("Old", START).issue(START, common_name="mailhost", sha1=True)
    world.raise_()
    (mail,) = await world.peer.wait(1)
    assert mail.tls == tls
    assert (TLS_FAILED in world.logs.lines) == (tls is None)


async def test_a_good_certificate_passes_the_optional_checks(world: World) -> None:
    world.config = world.config.with_(ssl=SslSettings(peer_cert_fqdn=True, peer_cert_x509=True))
    world.raise_()
    assert (await world.peer.wait(1))[0].tls == "TLSv1.3"


async def test_three_attempts_a_minute_apart(world: World) -> None:
    world.dns.remove("ops.test", "MX")
    world.dns.set("ops.test MX 10 mx1.ops.test")
    world.peer.behaviour = "tempfail-451"
    refusal = failed('Unexpected SMTP response "451", expecting code starting with "2", response was [\'4.3.0 try again later\']')
    world.raise_()
    assert await world.lines(2) == [ATTEMPT % 0, refusal]
    await world.clock.advance(59)
    assert len(world.logs.lines) == 2
    await world.clock.advance(1)
    await world.lines(4)
    world.peer.behaviour = "starttls-ok"
    await world.clock.advance(60)
    assert await world.lines(7) == [ATTEMPT % 0, refusal, ATTEMPT % 1, refusal, ATTEMPT % 2, *SENT]
    assert len(world.peer.messages) == 1


async def test_after_the_third_attempt_it_is_given_up(world: World) -> None:
    world.peer.behaviour = world.second.behaviour = "tempfail-451"
    world.raise_()
    for attempts in (1, 2, 3):
        await world.lines(3 * attempts)
        await world.clock.advance(60)
    lines = await world.lines(11)
    assert lines[-2:] == GIVEN_UP
    assert [line for line in lines if "attempt #" in line] == [ATTEMPT % n for n in range(3)]


@pytest.mark.parametrize(
    ("behaviour", "reply", "expected"),
    [
        ("starttls-ok", "553 5.1.8 Domain of sender address does not exist", "2"),
        ("data-554", "", "2"),
    ],
)
async def test_a_permanent_refusal_ends_it(world: World, behaviour: str, reply: str, expected: str) -> None:
    world.peer.behaviour = behaviour
    if reply:
        world.peer.rcpt_replies = {OPS: reply}
    code, text = (reply or "554 5.6.0 content rejected").split(" ", 1)
    world.raise_()
    assert await world.lines(4) == [
        ATTEMPT % 0,
        failed(f'Unexpected SMTP response "{code}", expecting code starting with "{expected}", response was [\'{text}\']'),
        *GIVEN_UP,
    ]
    assert world.second.visits == []


async def test_the_next_host_when_one_fails(world: World) -> None:
    await world.peer.stop()
    world.raise_()
    assert await world.lines(4) == [ATTEMPT % 0, failed("[Errno 111] Connection refused"), *SENT]
    assert len(world.second.messages) == 1


async def test_a_host_that_serves_nobody_is_passed_over(world: World) -> None:
    world.peer.behaviour = "banner-554"
    world.raise_()
    await world.second.wait(1)


@pytest.mark.parametrize(
    ("hosts", "port"),
    [
        ((RouteHost(host="127.0.10.98"),), 25),
        ((RouteHost(host="relay.test", force_address=True, port=2525),), 2525),
        ((RouteHost(host="127.0.10.97", priority=5), RouteHost(host="relay.test")), 25),
    ],
    ids=["address", "in brackets, port", "by priority"],
)
async def test_a_route_is_used(world: World, hosts: tuple[RouteHost, ...], port: int) -> None:
    world.config = world.config.with_(smtp_routes=Table([SmtpRoute(domain="ops.test", hosts=hosts)]))
    world.raise_()
    await world.second.wait(1)
    assert world.peer.visits == [] and world.dns.asked("ops.test", "MX") == 0


async def test_a_route_to_nowhere(world: World) -> None:
    world.config = world.config.with_(smtp_routes=Table([SmtpRoute(domain="ALL", special="discard")]))
    world.raise_()
    assert await world.lines(3) == [ATTEMPT % 0, *SENT]
    assert world.peer.visits == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("servfail", "DNS Temporary Failure ops.test MX - ServFail"), ("nxdomain", "DNS Hard Error looking up ops.test (MX):  NXDomain")],
)
async def test_a_domain_that_cannot_be_looked_up(world: World, fault: str, reason: str) -> None:
    world.dns.fault("ops.test", "MX", fault)  # type: ignore[arg-type]
    world.raise_()
    assert await world.lines(2) == [ATTEMPT % 0, failed(reason, "ops.test")]
    world.dns.fault("ops.test", "MX", None)
    await world.clock.advance(60)


async def test_who_gets_what(world: World) -> None:
    world.subscribe("critical@ops.test", ("System", "Critical"))
    world.subscribe("virus@ops.test", ("Anti-Virus", "Warning"))
    world.subscribe("all@ops.test", ("All", "All"))
    world.subscribe("twice@ops.test", ("System", "All"), ("All", "Warning"))
    world.raise_()
    await world.peer.wait(3)
    await settle()
    assert {r for mail in world.peer.messages for r in mail.recipients} == {OPS, "all@ops.test", "twice@ops.test"}
    assert len(world.peer.messages) == 3


async def test_dane_goes_to_two_groups_once_each(world: World) -> None:
    world.subscribe("delivery@ops.test", ("Message Delivery", "Warning"))
    world.subscribe("both@ops.test", ("Message Delivery", "Warning"), ("System", "Warning"))
    world.subscribe("critical@ops.test", ("System", "Critical"))
    world.alerts.raise_("dane.failed", "partner.test", "Message Delivery", "Warning", "DANE verification failed\nmx1: no TLSA record")
    await world.peer.wait(3)
    await settle()
    assert sorted(r for mail in world.peer.messages for r in mail.recipients) == ["both@ops.test", "delivery@ops.test", OPS]
    assert message_from_bytes(world.peer.messages[0].octets)["Subject"] == (
        "Warning <Message Delivery> mail3.example.com: DANE verification failed; mx1: no TLSA record"
    )


async def test_information_is_written_info(world: World) -> None:
    world.subscribe(OPS, ("Updater", "Information"))
    for severity in ("Information", "Info"):
        world.alerts.raise_("x", severity, "Updater", severity, "text")
    mails = await world.peer.wait(2)
    assert {message_from_bytes(mail.octets)["Subject"] for mail in mails} == {"Info <Updater> mail3.example.com: text"}
    await until(lambda: sum(line.startswith("A Updater/Info alert was sent to ") for line in world.logs.lines) == 2)


async def test_nobody_subscribes(world: World) -> None:
    world.set(recipients=Table())
    world.raise_()
    assert world.logs.lines == ["Alert tls.required was not sent: no recipients."]
    assert [alert.text for alert in world.alerts.latest()] == [TEXT]


async def test_own_sender(world: World) -> None:
    world.set(from_address='"Gateway" <esa@example.com>')
    world.raise_()
    (mail,) = await world.peer.wait(1)
    assert mail.sender == "esa@example.com"
    assert message_from_bytes(mail.octets)["From"] == '"Gateway" <esa@example.com>'


async def test_foreign_text_is_escaped(world: World) -> None:
    world.alerts.raise_("tls.required", "x", "System", "Warning", "reply \x1b[2J\rend\nsecond")
    (mail,) = await world.peer.wait(1)
    assert b"reply \\x1b[2J\\x0dend\r\nsecond\r\n" in mail.octets


Advance = Callable[[int], Awaitable[None]]


def sums(world: World) -> list[tuple[float, int]]:
    """(seconds after the start, duplicates) of every mail."""
    return [((alert.at - START).total_seconds(), alert.suppressed) for alert in reversed(world.alerts.latest())]


async def test_duplicates_are_summed_up(world: World) -> None:
    world.set(initial_interval=5, max_interval=60, recipients=Table())
    for _ in range(200):
        world.raise_()
        await world.clock.advance(1)
    assert sums(world) == [(0, 0), (5, 4), (15, 10), (35, 20), (60, 25), (120, 60), (180, 60)]
    summary = world.alerts.latest(1)[0].text.split("\n")
    assert summary == [TEXT, "Last message occurred 60 times between Fri Mar 06 09:02:00 2026 and Fri Mar 06 09:02:59 2026."]
    await world.clock.advance(600)
    assert sums(world)[7:] == [(240, 20)]
    world.raise_()
    assert sums(world)[8:] == [(800, 0)]


async def test_the_summary_is_mailed(world: World) -> None:
    world.set(initial_interval=5, max_interval=60)
    world.raise_()
    world.raise_()
    await world.clock.advance(5)
    mails = await world.peer.wait(2)
    paragraph = "Last message occurred 1 times between Fri Mar 06 09:00:00 2026 and Fri Mar 06 09:00:00 2026."
    assert f"{TEXT}\r\n\r\n{paragraph}\r\n\r\nVersion:" in mails[1].octets.decode()
    assert message_from_bytes(mails[1].octets)["Subject"] == SUBJECT


async def test_without_an_interval_every_alert_is_sent(world: World) -> None:
    world.set(initial_interval=0, recipients=Table())
    for _ in range(10):
        world.raise_()
    assert sums(world) == [(0, 0)] * 10


async def test_series_do_not_influence_each_other(world: World) -> None:
    world.set(initial_interval=5, max_interval=60, recipients=Table())
    world.raise_("a.test")
    await world.clock.advance(3)
    world.raise_("b.test")
    world.alerts.raise_("dane.failed", "a.test", "Message Delivery", "Warning", "x")
    world.alerts.raise_("tls.required", "a.test", "System", "Critical", "x")
    world.raise_("a.test")
    assert sums(world) == [(0, 0), (3, 0), (3, 0), (3, 0)]
    await world.clock.advance(60)
    assert sums(world)[4:] == [(5, 1)]


async def test_a_commit_to_no_suppression_ends_a_series_at_its_due_time(world: World) -> None:
    world.set(initial_interval=5, max_interval=60, recipients=Table())
    world.raise_()
    world.set(initial_interval=0)
    world.raise_()
    await world.clock.advance(5)
    world.raise_()
    assert sums(world) == [(0, 0), (5, 1), (5, 0)]


async def test_stored_alerts(world: World) -> None:
    world.set(stored_max=3, recipients=Table())
    for number in range(10):
        world.raise_(f"d{number}.test")
    assert [alert.key for alert in world.alerts.latest(2)] == ["d9.test", "d8.test"]
    again = Alerts(world.snapshot, world.logs, world.clock, None, None, Product(), world.stored)  # type: ignore[arg-type]
    assert [alert.key for alert in again.latest()] == ["d9.test", "d8.test", "d7.test"]
    assert again.latest() == world.alerts.latest()
    assert len(world.stored.read_bytes().splitlines()) <= 6
    with world.stored.open("ab") as file:
        file.write(b"{torn")
    again = Alerts(world.snapshot, world.logs, world.clock, None, None, Product(), world.stored)  # type: ignore[arg-type]
    again.raise_("log.removed", "mail_logs", "System", "Warning", "text")
    assert [alert.key for alert in again.latest(2)] == ["mail_logs", "d9.test"]
    assert again.latest(1)[0].number == 11
    await again.close()
    world.set(stored_max=0)
    assert world.alerts.latest() == []


async def test_a_recipient_that_hangs_does_not_hold_the_others(world: World) -> None:
    world.config = world.config.with_(smtp_routes=Table([SmtpRoute(domain="slow.test", hosts=(RouteHost(host="127.0.10.98"),))]))
    world.second.behaviour = "tarpit"
    world.subscribe("a@slow.test", ("All", "All"))
    world.raise_()
    await world.peer.wait(1)
    assert world.second.messages == []


async def test_at_most_four_connections(world: World) -> None:
    world.peer.behaviour = "tarpit"
    for number in range(8):
        world.subscribe(f"r{number}@ops.test", ("All", "All"))
    world.raise_()
    await until(lambda: len(world.peer.visits) == 4)
    await settle()
    assert len(world.peer.visits) == 4


async def test_mail_of_the_appliance_itself(world: World) -> None:
    await world.alerts.smtp.send("alert@mail3.example.com", OPS, "Configuration file", b"Subject: x\r\n\r\n.dot\r\n")
    assert world.peer.messages[0].octets == b"Subject: x\r\n\r\n.dot\r\n"
    world.peer.rcpt_replies = {OPS: "550 5.1.1 no such user"}
    with pytest.raises(sending_module.NotSent, match=r"response was \['5\.1\.1 no such user'\]"):
        await world.alerts.smtp.send("alert@mail3.example.com", OPS, "Configuration file", b"\r\n")
