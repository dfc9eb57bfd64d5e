"""The agent on the wire: hosts in order, connections and their limits, losses, retries, and domains that do not disturb each other."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from appliance_runtime.delivery.intervention import deliver_now
from appliance_state.model.bounces import BounceProfile
from appliance_state.model.destinations import LimitType
from appliance_state.model.interfaces import Interface, InterfaceGroup
from appliance_state.model.listeners import Listener, ListenerType
from appliance_state.model.routes import RouteHost, SmtpRoute
from appliance_state.table import Table
from asyncos_shell.lab.peers import Peer

Rig = Any


def transactions(peer: Peer) -> list[int]:
    return [visit.messages for visit in peer.visits]


# hosts


async def test_better_preference_first_then_the_next_host(rig: Rig) -> None:
    spare = await rig.peer("mx2.d.test", "127.0.10.12", domain="d.test", preference=20)
    first = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", preference=10)
    await rig.send()
    await rig.idle()
    assert [len(first.messages), len(spare.messages)] == [1, 0]
    await first.stop()
    await rig.send()
    await rig.idle()
    assert [len(first.messages), len(spare.messages)] == [1, 1]
    assert rig.lines("Connection Error: DCID 2 domain: d.test IP: 127.0.10.11")
    assert not rig.lines("Delayed")


@pytest.mark.parametrize(
    ("behaviour", "details", "reason"),
    [
        ("banner-554", "554 5.7.1 no service for you", "unexpected SMTP response"),
        ("tarpit", "timeout", "network error"),
        ("endless-reply", "reply too long", "network error"),
    ],
)
async def test_hosts_that_do_not_serve(rig: Rig, behaviour: str, details: str, reason: str) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", behaviour=behaviour)
    mid = await rig.send()
    await rig.idle()
    assert peer.messages == []
    (error,) = rig.lines("Connection Error")
    assert f" details: {details} interface: " in error and error.endswith(f"reason: {reason}")
    assert rig.lines(f"Delayed: DCID 1 MID {mid} to RID 0 - 4.4.0 - Other network problem ('000', ['{details}']) []")


async def test_helo_when_ehlo_is_refused(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", behaviour="no-esmtp")
    await rig.send()
    await rig.idle()
    assert peer.visits[0].commands == ["EHLO", "HELO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert peer.visits[0].lines[2][0] == "MAIL FROM:<alice@example.test>"


async def test_parameters_of_mail_only_when_offered(rig: Rig) -> None:
    body = "Subject: ü\r\n\r\nü\r\n".encode()
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    await rig.send(body=body)
    await rig.idle()
    assert peer.visits[0].lines[1][0] == f"MAIL FROM:<alice@example.test> SIZE={len(body)} BODY=8BITMIME"
    peer.size = peer.eight_bit = False
    await rig.send(body=body)
    await rig.idle()
    assert peer.visits[1].lines[1][0] == "MAIL FROM:<alice@example.test>"


@pytest.mark.parametrize(
    ("setup", "text"),
    [
        ("d.test MX 0 .", "DNS Hard Error looking up d.test (MX):  NullMX"),
        ("", "DNS Hard Error looking up d.test (MX):  NXDomain"),
        ("d.test TXT x", "DNS Hard Error looking up d.test (A):  NoData"),
        ("d.test MX 10 gone.test.", "DNS Hard Error looking up gone.test (A):  NXDomain"),
    ],
)
async def test_dns_says_no(rig: Rig, setup: str, text: str) -> None:
    if setup:
        rig.dns.set(setup)
    mid = await rig.send(sender="")
    await rig.idle()
    assert rig.logs.lines[:2] == [text, f"Bounced: DCID 0 MID {mid} to RID 0 - 5.1.2 - Bad destination host ('000', ['{text}']) []"]
    assert rig.queue.active_recipients == 0
    assert rig.counters.columns("dns_hard_bounced_recips").uptime == 1


@pytest.mark.parametrize(("name", "kind", "text"), [
    ("d.test", "MX", "DNS Temporary Failure d.test MX - ServFail"),
    ("mx1.d.test", "A", "DNS Temporary Failure mx1.d.test A - ServFail"),
])  # fmt: skip
async def test_dns_does_not_say(rig: Rig, name: str, kind: str, text: str) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    rig.dns.fault(name, kind, "servfail")
    mid = await rig.send()
    await rig.idle()
    assert rig.logs.lines[:2] == [text, f"Delayed: DCID 0 MID {mid} to RID 0 - 4.4.3 - Routing server failure ('000', ['{text}']) []"]
    rig.dns.fault(name, kind, None)
    await rig.advance(60)
    assert len(peer.messages) == 1


async def test_a_host_without_answer_is_passed_over(rig: Rig) -> None:
    await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", preference=5)
    peer = await rig.peer("mx2.d.test", "127.0.10.12", domain="d.test", preference=10)
    rig.dns.fault("mx1.d.test", "A", "servfail")
    await rig.send()
    await rig.idle()
    assert len(peer.messages) == 1
    assert not rig.lines("Delayed")


async def test_domain_literal_goes_straight_to_the_address(rig: Rig) -> None:
    peer = await rig.peer("a.test", "127.0.10.14")
    await rig.send("bob@[127.0.10.14]")
    await rig.idle()
    assert len(peer.messages) == 1
    assert not [query for query in rig.dns.queries if query.kind == "MX"]


async def test_mail_that_comes_back_here(rig: Rig) -> None:
    interface = Interface(name="In", ipv4="127.0.10.20", hostname="mail.example.test")
    listener = Listener(name="In", uid="1", type=ListenerType.PUBLIC, interface="In", port=25)
    rig.commit(interfaces=Table([interface]), listeners=Table([listener]))
    rig.dns.set("d.test MX 20 self.test.")
    rig.dns.set("self.test A 127.0.10.20")
    mid = await rig.send(sender="")
    await rig.idle()
    assert rig.lines(
        f"Bounced: DCID 0 MID {mid} to RID 0 - 5.4.6 - Routing loop detected ('000', ['Mail for d.test loops back to this system']) []"
    )
    better = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", preference=10)
    worse = await rig.peer("mx3.d.test", "127.0.10.13", domain="d.test", preference=30, behaviour="banner-554")
    rig.resolver.flush()
    await rig.send()
    await rig.idle()
    assert len(better.messages) == 1
    await better.stop()
    await rig.send()
    await rig.idle()
    assert rig.lines("Delayed") and worse.visits == []


# routes


def routed(rig: Rig, domain: str, *hosts: RouteHost, special: Any = None) -> None:
    rig.commit(smtp_routes=rig.snapshot.config.smtp_routes.put(SmtpRoute(domain=domain, hosts=hosts, special=special)))


async def test_routes_decide_where_mail_goes(rig: Rig) -> None:
    exchanger = await rig.peer("mx.relay.test", "127.0.10.21", domain="relay.test")
    itself = await rig.peer("relay.test", "127.0.10.22")
    rig.dns.set("relay.test A 127.0.10.22")
    other_port = await rig.peer("relay.test", "127.0.10.22", port=2525)
    routed(rig, "d.test", RouteHost(host="relay.test"))
    await rig.send("a@d.test")
    await rig.idle()
    routed(rig, "d.test", RouteHost(host="relay.test", force_address=True))
    await rig.send("b@d.test")
    await rig.idle()
    routed(rig, "d.test", RouteHost(host="127.0.10.22", port=2525))
    await rig.send("c@d.test")
    await rig.idle()
    received = [[m.recipients[0] for m in peer.messages] for peer in (exchanger, itself, other_port)]
    assert received == [["a@d.test"], ["b@d.test"], ["c@d.test"]]
    assert rig.lines("address 127.0.10.22 port 2525")


async def test_route_to_nowhere(rig: Rig) -> None:
    routed(rig, "d.test", special="discard")
    mid = await rig.send("a@d.test", "b@d.test")
    await rig.idle()
    assert rig.logs.lines == [
        f'MID {mid} RID [0, 1] discarded by SMTP route "/dev/null"',
        f"Message done DCID 0 MID {mid} to RID [0, 1]",
        f"Message finished MID {mid} done",
    ]
    assert rig.counters.columns("delivered_recips").uptime == 2


async def test_equal_route_hosts_take_turns_and_no_dns_when_all_fail(rig: Rig) -> None:
    peers = [await rig.peer(f"r{n}.test", f"127.0.10.3{n}") for n in range(2)]
    spare = await rig.peer("spare.test", "127.0.10.39")
    public = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    routed(rig, "d.test", RouteHost(host="127.0.10.30"), RouteHost(host="127.0.10.31"), RouteHost(host="127.0.10.39", priority=10))
    for _ in range(4):
        await rig.send()
        await rig.idle()
    assert [len(peer.messages) for peer in peers] == [2, 2]
    assert spare.messages == []
    for peer in peers:
        await peer.stop()
    await rig.send()
    await rig.idle()
    assert len(spare.messages) == 1
    await spare.stop()
    await rig.send()
    await rig.idle()
    assert rig.lines("Delayed") and public.messages == []


async def test_route_host_unknown_to_dns_makes_mail_wait(rig: Rig) -> None:
    routed(rig, "d.test", RouteHost(host="gone.test"))
    mid = await rig.send()
    await rig.idle()
    text = "DNS Hard Error looking up gone.test (MX):  NXDomain"
    assert rig.logs.lines[0] == f"Delayed: DCID 0 MID {mid} to RID 0 - 4.4.3 - Routing server failure ('000', ['{text}']) []"


# connections


async def test_messages_per_connection(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    rig.destination(max_messages_per_connection=2, max_host_concurrency=1)
    await asyncio.gather(*(rig.send(f"{n}@d.test") for n in range(5)))
    await rig.idle()
    assert transactions(peer) == [2, 2, 1]
    assert all(visit.commands[-1] == "QUIT" for visit in peer.visits)
    assert [m.recipients[0] for m in peer.messages] == [f"{n}@d.test" for n in range(5)]


async def test_as_many_connections_as_mail_needs(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    rig.destination(max_messages_per_connection=2)
    await asyncio.gather(*(rig.send(f"{n}@d.test") for n in range(5)))
    await peer.wait(5)
    assert len(peer.visits) == 3


async def test_a_finished_connection_takes_later_mail(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    await rig.send("a@d.test")
    await peer.wait(1)
    await rig.send("b@d.test")
    await rig.idle()
    assert transactions(peer) == [2]
    assert peer.visits[0].commands.count("RSET") == 0


async def test_no_reuse_after_a_commit(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    await rig.send("a@d.test")
    await peer.wait(1)
    rig.level(3, "d.test")
    await rig.send("b@d.test")
    await rig.idle()
    assert transactions(peer) == [1, 1]
    assert [message.tls is not None for message in peer.messages] == [False, True]


async def test_two_domains_on_one_host_do_not_share(rig: Rig) -> None:
    peer = await rig.peer("mx.test", "127.0.10.11", domain="d.test")
    rig.dns.set("e.test MX 10 mx.test.")
    rig.level(3, "e.test")
    await asyncio.gather(rig.send("a@d.test"), rig.send("a@e.test"))
    await rig.idle()
    assert transactions(peer) == [1, 1]
    assert sorted(message.tls is not None for message in peer.messages) == [False, True]


async def test_a_peer_that_leaves_an_idle_connection(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    await rig.send()
    await peer.wait(1)
    await peer.stop()
    await rig.idle()
    assert rig.logs.lines[-1] == "DCID 1 close"
    assert rig.counters.current("conn_out") == 0


async def test_reset_only_after_a_failed_transaction(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", rcpt_replies={"x@d.test": "451 4.3.0 later"})
    await asyncio.gather(rig.send("a@d.test"), rig.send("x@d.test"), rig.send("b@d.test"))
    await rig.idle()
    assert peer.visits[0].commands == ["EHLO", "MAIL", "RCPT", "DATA", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_one_hundred_recipients_at_a_time(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    mid = await rig.send(*(f"{n}@d.test" for n in range(150)))
    await rig.idle()
    assert [len(message.recipients) for message in peer.messages] == [100, 50]
    assert len(rig.lines(f"Message finished MID {mid} done")) == 1


async def test_global_limit_of_connections(rig: Rig) -> None:
    rig.commit(delivery=evolve(rig.snapshot.config.delivery, max_concurrency=1))
    peers = [await rig.peer(f"mx.{name}.test", f"127.0.10.4{n}", domain=f"{name}.test") for n, name in enumerate("abc")]
    open_now: list[int] = []
    gauge = rig.counters.gauge

    def watched(name: str, delta: int) -> None:
        gauge(name, delta)
        open_now.append(rig.counters.current("conn_out"))

    rig.counters.gauge = watched
    await asyncio.gather(*(rig.send(f"x@{name}.test") for name in "abc"))
    for peer in peers:
        await peer.wait(1)
    assert max(open_now) == 1


async def test_limit_of_connections_in_tls_makes_wait_and_never_clear(rig: Rig) -> None:
    rig.level(2)
    rig.commit(delivery=evolve(rig.snapshot.config.delivery, tls_max_concurrency=1))
    peers = [await rig.peer(f"mx.{name}.test", f"127.0.10.4{n}", domain=f"{name}.test") for n, name in enumerate("abc")]
    await asyncio.gather(*(rig.send(f"x@{name}.test") for name in "abc"))
    for peer in peers:
        await peer.wait(1)
        assert peer.messages[0].tls is not None
    success = [n for n, line in enumerate(rig.logs.lines) if "TLS success" in line]
    closes = [n for n, line in enumerate(rig.logs.lines) if line.endswith(" close")]
    assert success[0] < closes[0] < success[1] < closes[1] < success[2]


async def test_limit_per_address(rig: Rig) -> None:
    peers = [await rig.peer(f"mx{n}.d.test", f"127.0.10.5{n}", domain="d.test") for n in range(2)]
    rig.destination(max_messages_per_connection=1, max_host_concurrency=1, limit_type=LimitType.MXIP)
    await asyncio.gather(*(rig.send(f"{n}@d.test") for n in range(4)))
    await rig.until(lambda: sum(len(peer.messages) for peer in peers) == 4)
    assert all(peer.messages for peer in peers)
    for address in ("127.0.10.50", "127.0.10.51"):
        own = [line.split()[3] for line in rig.lines(f"address {address} ")]
        order = [
            line for line in rig.logs.lines if any(line in (f"DCID {d} close",) or line.startswith(f"New SMTP DCID {d} ") for d in own)
        ]
        assert all(line.startswith("New") == (n % 2 == 0) for n, line in enumerate(order)), order


async def test_source_and_name_of_the_chosen_interface(rig: Rig) -> None:
    interfaces = Table([Interface(name="Out", ipv4="127.0.9.9", hostname="out.example.test")])
    rig.commit(interfaces=interfaces, delivery=evolve(rig.snapshot.config.delivery, interface="Out"))
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    await rig.send()
    await rig.idle()
    assert rig.lines("New SMTP DCID 1 interface 127.0.9.9 address 127.0.10.11 port 25")
    assert peer.visits[0].lines[0][0] == "EHLO out.example.test"


async def test_interfaces_of_a_group_take_turns(rig: Rig) -> None:
    interfaces = Table([Interface(name=n, ipv4=f"127.0.9.{i}", hostname=f"{n}.test") for i, n in enumerate(("a", "b"), start=1)])
    group = InterfaceGroup(name="Both", members=frozenset(("a", "b")))
    rig.commit(interfaces=interfaces, interface_groups=Table([group]), delivery=evolve(rig.snapshot.config.delivery, interface="Both"))
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    for _ in range(2):
        await rig.send()
        await rig.idle()
    assert sorted(visit.lines[0][0] for visit in peer.visits) == ["EHLO a.test", "EHLO b.test"]


# losses


async def test_loss_after_the_final_dot(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", behaviour="close-after-dot")
    mid = await rig.send()
    await rig.idle()
    assert rig.logs.lines[1:] == [
        f"Delivery start DCID 1 MID {mid} to RID [0]",
        f"Possible Delivery: DCID: 1 MID {mid} to [0]",
        f"Message done DCID 1 MID {mid} to RID [0]",
        f"Message finished MID {mid} done",
        "DCID 1 close",
    ]
    rig.commit(delivery=evolve(rig.snapshot.config.delivery, possible_delivery=False))
    mid = await rig.send()
    await rig.idle()
    assert rig.lines(f"Delayed: DCID 2 MID {mid} to RID 0 - 4.4.0 - Other network problem ('000', ['EOF']) []")
    peer.behaviour = "starttls-ok"
    await rig.advance(60)
    assert len(peer.messages) == 1


async def test_loss_in_a_transaction_goes_on_at_the_next_host(rig: Rig) -> None:
    """The peer vanishes at RCPT; what was decided before stays decided."""
    replies = {"x@d.test": "550 5.1.1 no", "z@d.test": ""}
    first = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", rcpt_replies=replies)
    second = await rig.peer("mx2.d.test", "127.0.10.12", domain="d.test", preference=20)
    await rig.send("x@d.test", "y@d.test", "z@d.test", sender="")
    await rig.idle()
    assert first.messages == []
    assert second.messages[0].recipients == ("y@d.test", "z@d.test")
    assert len(rig.lines("Bounced: DCID 1")) == 2
    assert rig.lines("Connection Error: DCID 1 domain: d.test")


async def test_421_ends_the_connection_and_delays(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", rcpt_replies={"x@d.test": "421 4.3.2 closing"})
    mid = await rig.send("x@d.test")
    await rig.idle()
    assert peer.visits[0].commands == ["EHLO", "MAIL", "RCPT"]
    assert rig.lines(f"Delayed: DCID 1 MID {mid} to RID 0 - 4.1.0 - Unknown address error ('421', ['4.3.2 closing']) []")


@pytest.mark.parametrize(
    "evil",
    [
        '"a\r\nRCPT TO:<evil@d.test>"@d.test',
        "evil\n@d.test",
        "evil\x00@d.test",
        "evil\x85@d.test",
        "evil> NOTIFY=NEVER <a@d.test",
        "evil@d.test> ORCPT=rfc822;x",
        "<evil@d.test",
        '"evil@d.test',
        '"evil\\"@d.test',
        "evil a@d.test",
        "evil\u2028@d.test",
    ],
)
async def test_addresses_that_would_say_more_than_an_address_never_leave(rig: Rig, evil: str) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    await rig.send(evil.removesuffix("@d.test") + "@d.test", "good@d.test", sender="")
    await rig.idle()
    assert peer.messages[0].recipients == ("good@d.test",)
    assert b"evil" not in peer.visits[0].raw
    await rig.send("other@d.test", sender=evil)
    await rig.idle()
    assert len(peer.messages) == 1
    assert rig.lines("the address contains characters that cannot be sent")


@pytest.mark.parametrize(
    "address", ['"a b"@d.test', '"a>b"@d.test', '"a\\"b"@d.test', "a.b+c=d@d.test", "b\u00fccher@d.test", "b\udcfcher@d.test"]
)
async def test_addresses_that_are_only_unusual_leave(rig: Rig, address: str) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    await rig.send(address, sender="alice@example.test")
    await rig.idle()
    assert len(peer.messages) == 1


async def test_bare_line_ends_and_dots(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    await rig.send(body=b".\r\n..\r\na\rb\nc\r\n.\r\nend")
    await rig.idle()
    assert peer.messages[0].octets == b".\r\n..\r\na\r\nb\r\nc\r\n.\r\nend\r\n"


async def test_large_message(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    rig.level(3)
    body = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 200_000
    await rig.send(body=body)
    await peer.wait(1)
    assert peer.messages[0].octets == body


# domains and time


async def test_a_domain_that_hangs_delays_no_other(rig: Rig) -> None:
    await rig.peer("mx.slow.test", "127.0.10.11", domain="slow.test", behaviour="tarpit")
    rig.dns.fault("dead.test", "MX", "timeout")
    peer = await rig.peer("mx.d.test", "127.0.10.12", domain="d.test")
    await asyncio.gather(rig.send("a@slow.test"), rig.send("a@dead.test"), rig.send("a@d.test"))
    await peer.wait(1, limit=1)
    assert rig.agent.busy


async def test_dead_domain_costs_one_pass_for_all_its_mail(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", behaviour="banner-554")
    rig.destination(max_messages_per_connection=2)
    await asyncio.gather(*(rig.send(f"{n}@d.test") for n in range(7)))
    await rig.idle()
    assert len(peer.visits) == 1
    assert len(rig.lines("Delayed: DCID 1")) == 7


async def test_retry_times_to_the_bounce(rig: Rig) -> None:
    """Default profile against a dead peer: 0, 60, 180, 420 … every 3600 s, hard bounce at 259380 s."""
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    await peer.stop()
    start = rig.clock.now()
    mid = await rig.send(sender="")
    await rig.idle()
    attempts = [0]
    while rig.queue.active_recipients:
        due = rig.queue.next_due()
        await rig.advance((due - rig.clock.now()).total_seconds())
        attempts.append(round((rig.clock.now() - start).total_seconds()))
    assert attempts[:9] == [0, 60, 180, 420, 900, 1860, 3780, 7380, 10980]
    assert attempts[-1] == 259380
    assert len(rig.lines("Delayed")) == len(attempts) - 1
    assert rig.lines(
        f"Bounced: DCID 0 MID {mid} to RID 0 - 5.4.7 - Delivery expired (message too old) ('000', ['[Errno 111] Connection refused']) []"
    )
    assert rig.counters.columns("expired_hard_bounced_recips").uptime == 1


@pytest.mark.parametrize(
    ("profile", "attempts", "end"),
    [
        ({"max_retries": 2, "initial_retry": 60, "max_retry_time": 60}, 3, 120),
        ({"max_queue_lifetime": 100, "initial_retry": 60, "max_retry_time": 60}, 2, 120),
    ],
)
async def test_examples_of_profiles(rig: Rig, profile: dict[str, int], attempts: int, end: int) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", behaviour="tempfail-451")
    rig.commit(bounce_profiles=rig.snapshot.config.bounce_profiles.put(BounceProfile(name="short", **profile)))
    rig.destination("d.test", bounce_profile="short")
    start = rig.clock.now()
    await rig.send(sender="")
    await rig.idle()
    while rig.queue.active_recipients:
        await rig.advance((rig.queue.next_due() - rig.clock.now()).total_seconds())
    assert len(peer.visits) == attempts == len(rig.lines("Delayed"))
    assert rig.clock.now() - start == timedelta(seconds=end)
    assert rig.lines("5.4.7 - Delivery expired (message too old) ('000', ['451 4.3.0 try again later']) []")


async def test_recipients_per_minutes(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    rig.destination("d.test", recipient_limit=3, recipient_minutes=5)
    first = await rig.send("a@d.test", "b@d.test")
    second = await rig.send("c@d.test", "d@d.test")
    third = await rig.send("e@d.test")
    await rig.idle()
    assert [message.recipients for message in peer.messages] == [("a@d.test", "b@d.test"), ("c@d.test",)]
    until = "pending till Fri Mar  6 09:05:00 2026"
    assert rig.lines("pending till") == [f"Message {second} to RID [1] {until}", f"Message {third} to RID [0] {until}"]
    assert not rig.lines("Delayed")
    await rig.advance(299)
    assert len(peer.messages) == 2
    await rig.advance(1)
    assert [message.recipients for message in peer.messages[2:]] == [("d@d.test",), ("e@d.test",)]
    assert first and rig.queue.active_recipients == 0


async def test_recipients_per_minutes_and_address(rig: Rig) -> None:
    """With a limit by address the other one of equal preference takes what the first may not; then mail waits for the earliest."""
    peers = [await rig.peer(f"mx{n}.d.test", f"127.0.10.5{n}", domain="d.test") for n in range(2)]
    rig.destination("d.test", recipient_limit=1, recipient_minutes=5, limit_type=LimitType.MXIP, max_messages_per_connection=1)
    await rig.send("a@d.test")
    await rig.idle()
    await rig.clock.advance(60)
    for name in "bc":
        await rig.send(f"{name}@d.test")
        await rig.idle()
    assert [len(peer.messages) for peer in peers] == [1, 1]
    assert rig.lines("pending till") == ["Message 3 to RID [0] pending till Fri Mar  6 09:05:00 2026"]
    await rig.advance(240)
    assert sum(len(peer.messages) for peer in peers) == 3
    assert not rig.lines("Delayed")


async def test_recipients_that_were_never_named_do_not_count(rig: Rig) -> None:
    """The first host goes away at the first of two recipients, so one counts there and two at the next host."""
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", rcpt_replies={"x@d.test": ""})
    spare = await rig.peer("mx2.d.test", "127.0.10.12", domain="d.test", preference=20)
    rig.destination("d.test", recipient_limit=3, recipient_minutes=5)
    await rig.send("x@d.test", "b@d.test")
    await rig.idle()
    assert peer.messages == []
    assert [message.recipients for message in spare.messages] == [("x@d.test", "b@d.test")]


async def test_host_limit_counts_over_all_addresses(rig: Rig) -> None:
    peers = [await rig.peer(f"mx{n}.d.test", f"127.0.10.5{n}", domain="d.test") for n in range(3)]
    rig.destination(max_messages_per_connection=1, max_host_concurrency=2)
    await asyncio.gather(*(rig.send(f"{n}@d.test") for n in range(12)))
    await rig.until(lambda: sum(len(peer.messages) for peer in peers) == 12)
    await rig.idle()
    open_now, most = 0, 0
    for line in rig.logs.lines:
        open_now += line.startswith("New SMTP DCID") - line.endswith(" close")
        most = max(most, open_now)
    assert most == 2


async def test_a_changed_profile_counts_from_the_next_due_time(rig: Rig) -> None:
    await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", behaviour="tempfail-451")
    rig.destination("d.test", bounce_profile="short")
    profiles = rig.snapshot.config.bounce_profiles
    rig.commit(bounce_profiles=profiles.put(BounceProfile(name="short", initial_retry=60, max_retry_time=60)))
    await rig.send(sender="")
    await rig.idle()
    rig.commit(bounce_profiles=profiles.put(BounceProfile(name="short", initial_retry=600, max_retry_time=600)))
    await rig.advance(60)
    assert rig.lines("pending till") == [
        "Message 1 to RID [0] pending till Fri Mar  6 09:01:00 2026",
        "Message 1 to RID [0] pending till Fri Mar  6 09:11:00 2026",
    ]


async def test_limit_of_no_recipients_holds_everything(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    rig.destination("d.test", recipient_limit=0, recipient_minutes=1)
    await rig.send()
    await rig.idle()
    await rig.advance(600)
    assert peer.visits == [] and rig.queue.active_recipients == 1
    rig.destination("d.test", recipient_limit=1, recipient_minutes=1)
    await rig.advance(60)
    assert len(peer.messages) == 1


async def test_deliver_now_begins_the_window_anew(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    rig.destination("d.test", recipient_limit=1, recipient_minutes=60)
    await rig.send()
    await rig.send()
    await rig.idle()
    deliver_now(rig.agent, "d.test")
    await rig.idle()
    assert len(peer.messages) == 1, "that of one domain does not lift its limit"
    deliver_now(rig.agent, None)
    await rig.idle()
    assert len(peer.messages) == 2


async def test_stop_leaves_mail_in_the_queue(rig: Rig) -> None:
    await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", behaviour="tarpit")
    await rig.send()
    await rig.until(lambda: rig.agent.busy)
    await rig.agent.stop(0.01)
    assert not rig.agent.busy
    assert rig.queue.active_recipients == 1
    assert rig.counters.current("conn_out") == 0


# alerts


@pytest.mark.parametrize("level", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("switch", [True, False])
async def test_alert_when_required_tls_is_not_to_be_had(rig: Rig, level: int, switch: bool) -> None:
    rig.level(level)
    rig.commit(destination_globals=evolve(rig.snapshot.config.destination_globals, tls_alert=switch))
    await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", behaviour="starttls-454")
    await rig.send()
    await rig.send()
    await rig.idle()
    text = (
        "Unable to deliver to the domain d.test: a TLS connection is required but could not be established. "
        "STARTTLS was refused: 454 4.7.0 TLS not available (MX mx1.d.test, IP 127.0.10.11)"
    )
    expected = [("tls.required", "d.test", "System", "Warning", text)] if switch and level in (3, 5, 6) else []
    assert rig.alerts.raised[:1] == expected


@pytest.mark.parametrize(
    ("identity", "reason"),
    [("expired", "certificate has expired (CN=mx1.d.test)"), ("other", "hostname mismatch")],
)
async def test_alert_about_a_certificate_does_not_change_from_time_to_time(rig: Rig, identity: str, reason: str) -> None:
    now = rig.clock.now()
    made = {
        "expired": lambda: rig.root.issue(now, common_name="mx1.d.test", days=1, starts=timedelta(days=-3)),
        "other": lambda: rig.root.issue(now, common_name="other.test"),
    }[identity]()
    rig.level(5)
    rig.commit(destination_globals=evolve(rig.snapshot.config.destination_globals, tls_alert=True))
    await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", identity=made)
    await rig.send()
    await rig.idle()
    assert f"established. the certificate was not verified: {reason} (MX " in rig.alerts.raised[0][4]


async def test_no_alert_when_one_host_failed_for_another_reason(rig: Rig) -> None:
    rig.level(3)
    rig.commit(destination_globals=evolve(rig.snapshot.config.destination_globals, tls_alert=True))
    await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", behaviour="no-starttls")
    gone = await rig.peer("mx2.d.test", "127.0.10.12", domain="d.test", preference=20)
    await gone.stop()
    await rig.send()
    await rig.idle()
    assert rig.alerts.raised == []
    # Still the reason that an operator can do something about is the one that is kept.
    assert rig.lines("Delayed: DCID 2 MID 1 to RID 0 - 4.7.5 - Cryptographic failure ('000', ['STARTTLS command not supported']) []")
