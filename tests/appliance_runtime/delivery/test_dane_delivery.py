"""DANE in the delivery agent: lines of the log, reasons, alerts, routes, several hosts (delivery.md 7.3, 7.5, 9, 12)."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from appliance_runtime.delivery.tlsa import selected
from appliance_state.model.destinations import DaneSupport, IpSortPref, TlsSupport
from appliance_state.model.dns import DnssecMode
from appliance_state.model.interfaces import Interface
from appliance_state.model.listeners import Listener
from appliance_state.model.routes import RouteHost, SmtpRoute
from appliance_state.table import Table
from asyncos_shell.lab.authority import self_signed
from asyncos_shell.lab.peers import Peer

Rig = Any
OPPORTUNISTIC, MANDATORY = DaneSupport.OPPORTUNISTIC, DaneSupport.MANDATORY
BAD = "3 1 1 " + bytes(32).hex()
D = "d.test"


@pytest.fixture(params=[DnssecMode.VALIDATE, DnssecMode.TRUST_AD], ids=lambda mode: mode.value)
def dane(rig: Rig, request: pytest.FixtureRequest) -> Rig:
    rig.use_dnssec(request.param)
    rig.dns.zone("d.test")
    rig.dns.zone("hoster.test")
    rig.dns.zone("unsigned.example", signed=False)
    return rig


def good(peer: Peer, form: str = "3 1 1") -> str:
    assert peer.identity is not None
    _, selector, matching_type = map(int, form.split())
    return f"{form} {selected(peer.identity.der[0], selector, matching_type).hex()}"


async def host(rig: Rig, number: int = 1, tlsa: str | None = None, *, domain: str = D, **fields: Any) -> Peer:
    """The exchanger `mx<number>.d.test` with a certificate of its own; `tlsa` "good" = its record."""
    name = f"mx{number}.d.test"
    fields.setdefault("identity", self_signed(rig.clock.now(), common_name=name))
    peer: Peer = await rig.peer(name, f"127.0.10.{10 + number}", domain=domain, preference=10 * number, **fields)
    if tlsa is not None:
        rig.dns.set(f"_25._tcp.{name} TLSA {good(peer) if tlsa == 'good' else tlsa}")
    return peer


def set_up(rig: Rig, support: DaneSupport, level: int = 2, *, tls_alert: bool = False) -> None:
    rig.destination(D, tls_support=list(TlsSupport)[level - 1], dane_support=support)
    rig.commit(destination_globals=evolve(rig.snapshot.config.destination_globals, tls_alert=tls_alert))


async def deliver(rig: Rig) -> list[str]:
    await rig.send()
    await rig.idle()
    return list(rig.logs.lines)


async def test_the_whole_sequence(dane: Rig) -> None:
    await host(dane, tlsa="good")
    set_up(dane, MANDATORY)
    lines = await deliver(dane)
    assert lines[0].startswith("New SMTP DCID 1 interface ") and lines[0].endswith(" address 127.0.10.11 port 25")
    assert lines[1:] == [
        "DCID 1 TLS success protocol TLSv1.3 cipher TLS_AES_256_GCM_SHA384",
        "DCID 1 TLS DANE success: TLSA 3 1 1 matches the certificate of mx1.d.test",
        "Delivery start DCID 1 MID 1 to RID [0]",
        "Message done DCID 1 MID 1 to RID [0]",
        "MID 1 RID [0] Response '2.0.0 Ok: queued as 1'",
        "Message finished MID 1 done",
        "DCID 1 close",
    ]


async def test_a_host_that_does_not_match(dane: Rig) -> None:
    peer = await host(dane, tlsa=BAD)
    set_up(dane, MANDATORY, 3, tls_alert=True)
    lines = await deliver(dane)
    digest = good(peer).split()[-1]
    text = f"DANE error: no TLSA record of mx1.d.test matches the certificate (presented 3 1 1 {digest[:8]}…{digest[-4:]})"
    assert lines[1:] == [
        f"DCID 1 TLS failed: {text}",
        "DCID 1 IP 127.0.10.11 TLS was required but could not be successfully negotiated",
        "DCID 1 close",
        f"Delayed: DCID 1 MID 1 to RID 0 - 4.7.5 - Cryptographic failure ('000', ['{text}']) []",
        "Message 1 to RID [0] pending till Fri Mar  6 09:01:00 2026",
    ]
    assert dane.alerts.raised == [
        ("dane.failed", D, "Message Delivery", "Warning",
         "DANE verification failed for all MX hosts of the domain d.test.\nmx1.d.test: no matching TLSA record"),
    ]  # fmt: skip
    assert peer.visits[0].commands == ["EHLO", "STARTTLS", "EHLO", "QUIT"]


@pytest.mark.parametrize("level", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("behaviour", ["no-esmtp", "no-starttls", "bad-order", "starttls-454", "220-then-inject", "ehlo-fails-after-tls"])
async def test_usable_records_demand_tls_at_every_level(dane: Rig, level: int, behaviour: str) -> None:
    peer = await host(dane, tlsa="good", behaviour=behaviour)
    set_up(dane, OPPORTUNISTIC, level, tls_alert=True)
    lines = await deliver(dane)
    assert peer.messages == [] and b"MAIL" not in peer.visits[0].raw
    assert "DCID 1 IP 127.0.10.11 TLS was required but could not be successfully negotiated" in lines
    assert [one[0] for one in dane.alerts.raised] == ["dane.failed"]


@pytest.mark.parametrize("level", [2, 3, 4, 5, 6])
async def test_a_match_replaces_the_verification_of_the_level(dane: Rig, level: int) -> None:
    dane.snapshot = evolve(dane.snapshot, anchors=())
    peer = await host(dane, tlsa="good")
    set_up(dane, MANDATORY, level)
    await deliver(dane)
    assert len(peer.messages) == 1
    assert not dane.lines("TLS verify")


UNUSABLE = "3 1 99 00"


@pytest.mark.parametrize(("level", "delivered"), [(2, True), (3, True), (4, True), (5, False), (6, False)])
async def test_unusable_records_leave_verification_to_the_level(dane: Rig, level: int, delivered: bool) -> None:
    peer = await host(dane, tlsa=UNUSABLE)
    set_up(dane, OPPORTUNISTIC, level, tls_alert=True)
    await deliver(dane)
    assert len(peer.messages) == delivered
    assert bool(dane.lines("DCID 1 TLS verify failed: self-signed certificate")) == (level == 4)
    expected = "DANE verification failed for all MX hosts of the domain d.test.\nmx1.d.test: the certificate was not verified"
    assert [one[-1] for one in dane.alerts.raised] == ([] if delivered else [expected])


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("no-esmtp", "EHLO was not accepted"),
        ("no-starttls", "STARTTLS was not offered"),
        ("starttls-454", "STARTTLS was refused"),
        ("220-then-inject", "unexpected data after the STARTTLS response"),
        ("220-then-garbage", "the TLS handshake failed"),
        ("ehlo-fails-after-tls", "the TLS handshake failed"),
    ],
)
async def test_reasons_of_the_alert(dane: Rig, behaviour: str, reason: str) -> None:
    await host(dane, tlsa="good", behaviour=behaviour)
    set_up(dane, OPPORTUNISTIC)
    await deliver(dane)
    assert [one[-1].splitlines()[1] for one in dane.alerts.raised] == [f"mx1.d.test: {reason}"]


@pytest.mark.parametrize("behaviour", ["starttls-421", "starttls-close", "banner-554"])
async def test_a_host_that_failed_for_another_reason_alarms_nobody(dane: Rig, behaviour: str) -> None:
    await host(dane, 1, tlsa=BAD)
    await host(dane, 2, tlsa="good", behaviour=behaviour)
    set_up(dane, MANDATORY, 3, tls_alert=True)
    await deliver(dane)
    assert dane.alerts.raised == []


async def test_skipped_hosts_are_named_in_their_order(dane: Rig) -> None:
    peers = [await host(dane, 1), await host(dane, 2, tlsa=BAD), await host(dane, 3, tlsa=UNUSABLE)]
    peers.append(await host(dane, 4, tlsa="good"))
    dane.dns.fault("_25._tcp.mx4.d.test", "TLSA", "bogus")
    dane.dns.set("d.test MX 50 mx.unsigned.example.")
    dane.dns.set("mx.unsigned.example A 127.0.10.15")
    set_up(dane, MANDATORY, 5, tls_alert=True)
    lines = await deliver(dane)
    assert [len(peer.visits) for peer in peers] == [0, 1, 0, 0]
    assert [line for line in lines if line.startswith("DCID 0")] == [
        "DCID 0 TLS failed: DANE error: no TLSA record for mx1.d.test (d.test), host skipped",
        "DCID 0 TLS failed: DANE error: TLSA records of mx3.d.test (d.test) are unusable, host skipped",
        "DCID 0 TLS failed: DANE error: TLSA lookup for mx4.d.test (d.test) failed: bogus, host skipped",
        "DCID 0 TLS failed: DANE error: insecure A record for mx.unsigned.example (d.test), host skipped",
    ]
    reason = "DANE error: insecure A record for mx.unsigned.example (d.test), host skipped"
    assert f"Delayed: DCID 1 MID 1 to RID 0 - 4.7.5 - Cryptographic failure ('000', ['{reason}']) []" in lines
    assert [one[-1].splitlines()[1:] for one in dane.alerts.raised] == [
        [
            "mx1.d.test: no TLSA record",
            "mx2.d.test: no matching TLSA record",
            "mx3.d.test: TLSA records are unusable",
            "mx4.d.test: TLSA lookup failed (bogus)",
            "mx.unsigned.example: insecure A record",
        ]
    ]


async def test_a_host_without_dane_among_them_makes_it_an_alert_about_tls(dane: Rig) -> None:
    await host(dane, 1, behaviour="no-starttls")
    dane.dns.fault("_25._tcp.mx2.d.test", "TLSA", "servfail")
    await host(dane, 2, tlsa="good")
    set_up(dane, OPPORTUNISTIC, 3, tls_alert=True)
    await deliver(dane)
    text = "Unable to deliver to the domain d.test: a TLS connection is required but could not be established."
    assert [(one[0], one[-1]) for one in dane.alerts.raised] == [
        ("tls.required", f"{text} DANE is mandatory and not available (MX mx2.d.test, IP 127.0.10.12)")
    ]


async def test_a_failed_look_up_keeps_opportunistic_away_too(dane: Rig) -> None:
    peer = await host(dane, tlsa="good")
    dane.dns.fault("_25._tcp.mx1.d.test", "TLSA", "refused")
    set_up(dane, OPPORTUNISTIC)
    lines = await deliver(dane)
    assert peer.visits == []
    assert "DCID 0 TLS failed: DANE error: TLSA lookup for mx1.d.test (d.test) failed: Refused, host skipped" in lines


async def test_without_dane_said_once_for_each_host(dane: Rig) -> None:
    await host(dane, 1, behaviour="220-then-close")
    await host(dane, 2)
    dane.map("127.0.10.21", 1)
    dane.dns.set("mx1.d.test A 127.0.10.21")
    set_up(dane, OPPORTUNISTIC)
    lines = await deliver(dane)
    assert [line for line in lines if "DANE" in line] == [
        "DCID 0 TLS DANE not used: no TLSA record for mx1.d.test (d.test)",
        "DCID 0 TLS DANE not used: no TLSA record for mx2.d.test (d.test)",
    ]
    assert not dane.lines("DANE success")


async def test_usages_that_are_not_recommended_and_an_insecure_mx_record_are_noted(dane: Rig) -> None:
    dane.destination("plain.unsigned.example", tls_support=TlsSupport.PREFERRED, dane_support=OPPORTUNISTIC)
    identity = dane.root.issue(dane.clock.now(), dns_names=["mx1.d.test"])
    peer = await host(dane, domain="plain.unsigned.example", identity=identity)
    dane.dns.set(f"_25._tcp.mx1.d.test TLSA {good(peer, '1 1 1')}")
    await dane.send("bob@plain.unsigned.example")
    await dane.idle()
    assert dane.lines("DANE success") == [
        "DCID 1 TLS DANE success: TLSA 1 1 1 matches the certificate of mx1.d.test (usage 1 is not recommended for SMTP)"
        " (the MX record of plain.unsigned.example is insecure)"
    ]


async def test_only_the_domain_of_the_recipient_counts(dane: Rig) -> None:
    peer = await host(dane, tlsa="good")
    set_up(dane, MANDATORY)
    await dane.send(sender="alice@sender.unsigned.example")
    await dane.idle()
    assert len(peer.messages) == 1
    assert not [query for query in dane.dns.queries if "sender" in query.name]


async def test_the_message_goes_when_the_record_is_corrected(dane: Rig) -> None:
    peer = await host(dane, tlsa=BAD)
    set_up(dane, MANDATORY)
    await deliver(dane)
    assert peer.messages == []
    dane.dns.remove("_25._tcp.mx1.d.test", "TLSA")
    dane.dns.set(f"_25._tcp.mx1.d.test TLSA {good(peer)}")
    dane.resolver.flush()
    await dane.advance(60)
    assert len(peer.messages) == 1


async def test_the_bounce_has_the_reason(dane: Rig) -> None:
    await host(dane)
    set_up(dane, MANDATORY)
    profile = evolve(dane.snapshot.config.bounce_profiles["Default"], max_retries=0)
    dane.commit(bounce_profiles=dane.snapshot.config.bounce_profiles.put(profile))
    sender = await dane.peer("mx.example.test", "127.0.10.30", domain="example.test")
    await deliver(dane)
    assert b"DANE error: no TLSA record for mx1.d.test (d.test), host skipped" in sender.messages[0].octets.replace(b"\r\n ", b" ")


# routes


def route(rig: Rig, *hosts: RouteHost) -> None:
    rig.commit(smtp_routes=Table([SmtpRoute(domain=D, hosts=hosts)]))


@pytest.mark.parametrize("brackets", [True, False])
async def test_a_route_to_a_host_asks_there_and_for_its_port(dane: Rig, brackets: bool) -> None:
    peer = await dane.peer("relay.hoster.test", "127.0.10.11", port=2525, identity=self_signed(dane.clock.now()))
    dane.dns.set("relay.hoster.test A 127.0.10.11")
    dane.dns.set(f"_2525._tcp.relay.hoster.test TLSA {good(peer)}")
    route(dane, RouteHost(host="relay.hoster.test", port=2525, force_address=brackets))
    set_up(dane, MANDATORY)
    await deliver(dane)
    assert len(peer.messages) == 1
    assert dane.lines("DCID 1 TLS DANE success: TLSA 3 1 1 matches the certificate of relay.hoster.test")
    assert not [query for query in dane.dns.queries if query.name == D]


async def test_a_route_to_a_host_with_exchangers_of_its_own(dane: Rig) -> None:
    peer = await host(dane, tlsa="good", domain="hoster.unsigned.example")
    route(dane, RouteHost(host="hoster.unsigned.example"))
    set_up(dane, OPPORTUNISTIC)
    await deliver(dane)
    assert len(peer.messages) == 1
    assert dane.lines("matches the certificate of mx1.d.test (the MX record of hoster.unsigned.example is insecure)")
    set_up(dane, MANDATORY)
    await deliver(dane)
    assert len(peer.visits) == 1
    assert dane.lines("TLS failed: DANE error: non DNSSEC destination hoster.unsigned.example, host mx1.d.test skipped")


async def test_an_unsigned_route_host_without_exchangers(dane: Rig) -> None:
    peer = await dane.peer("relay.unsigned.example", "127.0.10.11")
    dane.dns.set("relay.unsigned.example A 127.0.10.11")
    route(dane, RouteHost(host="relay.unsigned.example"))
    set_up(dane, MANDATORY)
    await deliver(dane)
    assert peer.visits == []
    assert dane.lines("TLS failed: DANE error: insecure A record for relay.unsigned.example (d.test), host skipped")


@pytest.mark.parametrize("support", [OPPORTUNISTIC, MANDATORY])
async def test_a_route_to_an_address(dane: Rig, support: DaneSupport) -> None:
    peer = await dane.peer("relay", "127.0.10.11")
    route(dane, RouteHost(host="127.0.10.11"))
    set_up(dane, support)
    await deliver(dane)
    assert len(peer.messages) == (support is OPPORTUNISTIC)
    text = "route to address 127.0.10.11 for d.test"
    assert dane.lines(f"DCID 0 TLS DANE not used: {text}" if support is OPPORTUNISTIC else f"DANE error: {text}, host skipped")
    if support is MANDATORY:
        assert dane.alerts.raised[0][-1].splitlines()[1] == "127.0.10.11: route to an address"


async def test_a_domain_literal(dane: Rig) -> None:
    peer = await dane.peer("literal", "127.0.10.11")
    dane.destination(tls_support=TlsSupport.PREFERRED, dane_support=OPPORTUNISTIC)
    await dane.send("bob@[127.0.10.11]")
    await dane.idle()
    assert len(peer.messages) == 1
    assert dane.lines("DCID 0 TLS DANE not used: route to address 127.0.10.11 for [127.0.10.11]")


# addresses


async def test_addresses_of_the_family_that_nobody_vouches_for_are_left_alone(dane: Rig) -> None:
    peer = await host(dane, tlsa="good")
    dane.dns.set("mx1.d.test AAAA 2001:db8::1")
    dane.dns.fault("mx1.d.test", "AAAA", "bogus")
    set_up(dane, MANDATORY)
    dane.destination(D, ip_sort_pref=IpSortPref.PREFER_V6)
    lines = await deliver(dane)
    assert len(peer.messages) == 1
    assert not [line for line in lines if "2001:db8" in line]


async def test_an_address_that_does_not_answer_hides_no_dane_failure(dane: Rig) -> None:
    await host(dane, 1, tlsa=BAD)
    dane.map("127.0.10.21", 1)
    dane.dns.set("mx1.d.test A 127.0.10.21")
    set_up(dane, MANDATORY, 3, tls_alert=True)
    lines = await deliver(dane)
    assert [one[-1].splitlines()[1:] for one in dane.alerts.raised] == [["mx1.d.test: no matching TLSA record"]]
    assert len([line for line in lines if line.startswith("New SMTP DCID")]) == 2
    assert any(line.startswith("Delayed: ") and "DANE error: no TLSA record of mx1.d.test matches" in line for line in lines)


@pytest.mark.parametrize("support", [OPPORTUNISTIC, MANDATORY])
async def test_a_domain_that_is_its_own_host_and_signed_by_nobody(dane: Rig, support: DaneSupport) -> None:
    peer = await dane.peer("plain.unsigned.example", "127.0.10.11")
    dane.dns.set("plain.unsigned.example A 127.0.10.11")
    dane.destination("plain.unsigned.example", tls_support=TlsSupport.PREFERRED, dane_support=support)
    await dane.send("bob@plain.unsigned.example")
    await dane.idle()
    assert len(peer.messages) == (support is OPPORTUNISTIC)
    if support is MANDATORY:
        text = "non DNSSEC destination plain.unsigned.example, host plain.unsigned.example skipped"
        assert dane.lines(f"DCID 0 TLS failed: DANE error: {text}")
        assert dane.alerts.raised[0][-1].splitlines()[1] == "plain.unsigned.example: insecure MX record"


async def test_two_names_of_one_address_each_with_records_of_its_own(dane: Rig) -> None:
    first = await host(dane, 1, tlsa=BAD)
    dane.dns.set("d.test MX 20 mx2.d.test.")
    dane.dns.set("mx2.d.test A 127.0.10.11")
    dane.dns.set(f"_25._tcp.mx2.d.test TLSA {good(first)}")
    set_up(dane, MANDATORY)
    await deliver(dane)
    assert [visit.sni for visit in first.visits] == ["mx1.d.test", "mx2.d.test"]
    assert len(first.messages) == 1


async def test_an_address_that_failed_gets_no_second_chance_in_clear_text(dane: Rig) -> None:
    peer = await host(dane, 1, tlsa="good", behaviour="no-starttls")
    dane.dns.set("d.test MX 20 mx2.d.test.")
    dane.dns.set("mx2.d.test A 127.0.10.11")
    set_up(dane, OPPORTUNISTIC)
    await deliver(dane)
    assert len(peer.visits) == 1 and peer.messages == []


async def test_our_own_address_in_the_list_is_a_loop_for_dane_too(dane: Rig) -> None:
    interface = Interface(name="Data", ipv4="127.0.10.11", ipv4_prefix=24, hostname="mail.example.com")
    dane.commit(interfaces=Table([interface]), listeners=Table([Listener(name="In", uid="1", interface="Data", port=25)]))
    await host(dane)
    set_up(dane, MANDATORY)
    await deliver(dane)
    assert dane.lines("Mail for d.test loops back to this system")


async def test_many_workers_skip_a_host_once(dane: Rig) -> None:
    await host(dane, 1)
    second = await host(dane, 2, tlsa="good")
    set_up(dane, MANDATORY)
    dane.destination(D, max_messages_per_connection=1)
    for _ in range(6):
        await dane.send()
    await dane.idle()
    assert len(second.messages) == 6 and len(second.visits) > 1
    assert len(dane.lines("DANE error: no TLSA record for mx1.d.test (d.test), host skipped")) == 1
