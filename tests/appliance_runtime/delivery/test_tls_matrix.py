"""The matrix of delivery.md 4.2 on the wire: behaviours of the peer x six levels, and the reasons of 4.3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve, field, frozen
from cryptography.x509.oid import ExtendedKeyUsageOID

from appliance_runtime.tls import Credentials
from appliance_state.model.routes import RouteHost, SmtpRoute
from appliance_state.model.tls_settings import SslSettings
from appliance_state.table import Table
from asyncos_shell.lab.authority import Authority, Identity, rsa_root, self_signed
from asyncos_shell.lab.peers import Peer

Rig = Any
ADDRESS, HOST = "127.0.10.11", "mx1.d.test"
MARKER = b"marker-in-the-body"
GOOD = "CTTVVV"
BAD = "CTTUXX"


@frozen(kw_only=True)
class Row:
    """`cells`: one letter for each level; `reason`: what the log says of the peer where the host was refused or went on in clear."""

    number: str
    behaviour: str = "starttls-ok"
    cells: str
    reason: str = ""
    identity: Callable[[Rig], Identity] | None = None
    recipient: str = "bob@d.test"
    prepare: Callable[[Rig], None] | None = None
    peer: dict[str, Any] = field(factory=dict)


def issued(**names: Any) -> Callable[[Rig], Identity]:
    return lambda rig: rig.root.issue(rig.clock.now(), **names)


def with_reverse_name(rig: Rig) -> None:
    rig.dns.set("11.10.0.127.in-addr.arpa PTR ptr.test.")


def with_route(rig: Rig) -> None:
    rig.dns.set("relay.hoster.test A 127.0.10.11")
    rig.commit(smtp_routes=Table([SmtpRoute(domain="d.test", hosts=(RouteHost(host="relay.hoster.test"),))]))


def with_check(name: str) -> Callable[[Rig], None]:
    return lambda rig: rig.commit(ssl=evolve(SslSettings(), **{name: True}))


def sha1(rig: Rig) -> Identity:
    authority = rsa_root("Lab RSA Root CA", rig.clock.now())
    rig.snapshot = evolve(rig.snapshot, anchors=(authority.der,))
    return authority.issue(rig.clock.now(), common_name=HOST, dns_names=["d.test"], sha1=True)


def mailhost(rig: Rig) -> Identity:
    return rig.root.issue(rig.clock.now(), common_name="mailhost", dns_names=["d.test"])


REFUSED = "TLS failed: STARTTLS unexpected response '{}'"
ROWS = [
    Row(number="1", cells=GOOD),
    Row(number="2", behaviour="no-esmtp", cells="CCXCXX",
        reason="TLS failed: EHLO command not supported '500 5.5.1 command not recognized'"),
    Row(number="3", behaviour="no-starttls", cells="CCXCXX", reason="STARTTLS command not supported"),
    Row(number="4", behaviour="bad-order", cells="CCXCXX", reason="STARTTLS command not supported"),
    Row(number="5", behaviour="starttls-454", cells="CCXCXX", reason=REFUSED.format("454 4.7.0 TLS not available")),
    Row(number="6", behaviour="starttls-554", cells="CCXCXX", reason=REFUSED.format("554 5.7.3 TLS refused")),
    Row(number="7", behaviour="starttls-421", cells="CXXXXX", reason="details: 421 4.3.2 shutting down"),
    Row(number="8", behaviour="starttls-close", cells="CXXXXX", reason="details: EOF"),
    Row(number="9", behaviour="220-then-close", cells="CXXXXX", reason="TLS failed: EOF"),
    Row(number="10", behaviour="220-then-garbage", cells="CXXXXX", reason="TLS failed: wrong version number"),
    Row(number="11", behaviour="220-then-inject", cells="CXXXXX", reason="TLS failed: unexpected data after the STARTTLS response"),
    Row(number="12", behaviour="handshake-fail", cells="CXXXXX", reason="TLS failed: sslv3 alert handshake failure"),
    Row(number="13", behaviour="handshake-hang", cells="CXXXXX", reason="TLS failed: timeout"),
    Row(number="14", behaviour="ehlo-fails-after-tls", cells="CXXXXX",
        reason="TLS failed: EHLO rejected after STARTTLS '421 4.3.0 not today'"),
    Row(number="15", cells=BAD, identity=lambda rig: self_signed(rig.clock.now(), common_name=HOST, dns_names=["d.test"]),
        reason="self-signed certificate (CN=mx1.d.test)"),
    Row(number="16", cells=BAD, identity=lambda rig: Authority.root("Other Root CA", rig.clock.now()).issue(rig.clock.now(), dns_names=["d.test"]),
        reason="unable to get local issuer certificate (issuer: CN=Other Root CA)"),
    Row(number="17 expired", cells=BAD, identity=issued(common_name=HOST, dns_names=["d.test"], days=1, starts=timedelta(days=-2)),
        reason="certificate has expired (CN=mx1.d.test)"),
    Row(number="17 early", cells=BAD, identity=issued(common_name=HOST, dns_names=["d.test"], starts=timedelta(days=2)),
        reason="certificate is not yet valid (CN=mx1.d.test)"),
    Row(number="18", cells=BAD, identity=lambda rig: rig.intermediate.issue(rig.clock.now(), dns_names=["d.test"], send_chain=False),
        reason="unable to get local issuer certificate (issuer: CN=Lab Intermediate CA)"),
    Row(number="19", cells=BAD, identity=lambda rig: rig.intermediate.with_broken_signature().issue(rig.clock.now(), dns_names=["d.test"]),
        reason="certificate signature failure (CN=Lab Intermediate CA)"),
    Row(number="20 not a CA", cells=BAD,
        identity=lambda rig: rig.root.intermediate("No CA", rig.clock.now(), ca=False).issue(rig.clock.now(), dns_names=["d.test"]),
        reason="invalid CA certificate (CN=No CA)"),
    Row(number="20 usage", cells=BAD, identity=issued(common_name=HOST, dns_names=["d.test"], usages=[ExtendedKeyUsageOID.CLIENT_AUTH]),
        reason="unsuitable certificate purpose (CN=mx1.d.test)"),
    Row(number="21", cells=BAD, identity=issued(common_name="other.test", dns_names=["other.test"]),
        reason="hostname mismatch (expected d.test, mx1.d.test; presented CN=other.test, dNSName=other.test)"),
    Row(number="22", cells=GOOD, identity=issued(common_name=HOST)),
    Row(number="23", cells=GOOD, identity=issued(common_name="d.test")),
    Row(number="24", cells="CTTVVX", identity=issued(common_name="ptr.test"), prepare=with_reverse_name,
        reason="hostname mismatch (expected d.test, mx1.d.test; presented CN=ptr.test)"),
    Row(number="25", cells="CTTUXV", identity=issued(common_name="zzz.test", dns_names=[HOST]),
        reason="hostname mismatch (expected d.test, mx1.d.test; presented CN=zzz.test, dNSName=mx1.d.test)"),
    Row(number="26", cells="CTTVVX", identity=issued(common_name=HOST, dns_names=["other.test"]), reason="hostname mismatch"),
    Row(number="27", cells="CTTUXV", identity=issued(common_name="zzz.test", dns_names=["relay.hoster.test"]), prepare=with_route,
        reason="hostname mismatch (expected d.test, relay.hoster.test; presented CN=zzz.test, dNSName=relay.hoster.test)"),
    Row(number="28", cells=GOOD, identity=issued(common_name="zzz.test", dns_names=["*.d.test"]), recipient="bob@sub.d.test"),
    Row(number="29", cells="CTTUXV", identity=issued(common_name="zzz.test", dns_names=["*.d.test"]), reason="hostname mismatch"),
    Row(number="30", cells=GOOD, identity=sha1),
    Row(number="31", cells=BAD, identity=sha1, prepare=with_check("peer_cert_x509"),
        reason="signature algorithm sha1WithRSAEncryption is not allowed (CN=mx1.d.test)"),
    Row(number="32 off", cells=GOOD, identity=mailhost),
    Row(number="32 on", cells=BAD, identity=mailhost, prepare=with_check("peer_cert_fqdn"),
        reason='name "mailhost" is not a fully qualified domain name (commonName)'),
    Row(number="35", cells=GOOD, identity=issued(common_name=HOST, dns_names=["d.test"], rsa_bits=1024)),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
async def test_row(rig: Rig, row: Row) -> None:
    fields = {"identity": row.identity(rig)} if row.identity else {}
    peer = await rig.peer(HOST, ADDRESS, domain="d.test", behaviour=row.behaviour, **fields, **row.peer)
    rig.dns.set("sub.d.test MX 10 mx1.d.test.")
    if row.prepare is not None:
        row.prepare(rig)
    for level, expected in enumerate(row.cells, start=1):
        rig.level(level)
        peer.visits.clear()
        peer.messages.clear()
        rig.logs.lines.clear()
        mid = await rig.send(row.recipient)
        await rig.idle()
        assert _cell(rig, peer) == expected, f"level {level}\n" + "\n".join(rig.logs.lines)
        _check(rig, row, peer, level, expected, mid)


def _cell(rig: Rig, peer: Peer) -> str:
    """What happened to the message, seen from outside."""
    if not peer.messages:
        return "X"
    if peer.messages[0].tls is None:
        return "C"
    verdicts = [line.split(" TLS verify ")[1].split(":")[0] for line in rig.logs.lines if " TLS verify " in line]
    return {(): "T", ("success",): "V", ("failed",): "U"}[tuple(verdicts)]


def _check(rig: Rig, row: Row, peer: Peer, level: int, expected: str, mid: int) -> None:
    mandatory = level in (3, 5, 6)
    assert len(peer.visits) == 1
    assert len(rig.lines("TLS success")) == (expected in "TVU")
    if expected == "X":
        _nothing_in_clear(peer)
        assert "MAIL" not in peer.visits[0].commands
        assert rig.lines("Delayed: DCID ")[0].split(" - ")[1] == ("4.4.0" if "details:" in row.reason else "4.7.5")
        assert len(rig.lines(f"Message {mid} to RID [0] pending till")) == 1
        assert row.reason in "\n".join(rig.logs.lines)
    if expected in "XU" or (expected == "C" and level > 1):
        assert any(row.reason in line for line in rig.logs.lines if "Delayed" not in line)
    required = rig.lines(f"DCID 1 IP {ADDRESS} TLS was required", "TLS was required but could not be successfully negotiated")
    assert len(required) == (expected == "X" and mandatory and "details:" not in row.reason)
    if mandatory:
        _nothing_in_clear(peer)
    if level == 1:
        assert not rig.lines("TLS")


def _nothing_in_clear(peer: Peer) -> None:
    for visit in peer.visits:
        assert MARKER not in visit.raw
        assert not any(word in bytes(visit.raw) for word in (b"MAIL FROM", b"RCPT TO", b"DATA\r\n"))


@pytest.mark.parametrize(("level", "cell"), list(enumerate(GOOD, start=1)))
async def test_row_33_client_certificate_only_when_asked_for(rig: Rig, level: int, cell: str) -> None:
    own = rig.root.issue(rig.clock.now(), common_name="mail3.example.com", days=3000, usages=[])
    certificate, mark, key = own.pem.decode().partition("-----BEGIN PRIVATE")
    rig.present(Credentials(certificate=certificate, private_key=f"{mark}{key}".encode()))
    asking = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", client_anchors=[rig.root.pem])
    silent = await rig.peer("mx1.e.test", "127.0.10.12", domain="e.test")
    rig.level(level)
    for recipient in ("bob@d.test", "bob@e.test"):  # one after the other: DCID 1 and 2
        await rig.send(recipient)
        await rig.idle()
    assert asking.visits[0].client_certificate == (None if cell == "C" else own.der[0])
    assert silent.visits[0].client_certificate is None
    assert [len(asking.messages), len(silent.messages)] == [1, 1]
    verified = [
        line.startswith(f"DCID {number} TLS verify success") for number, line in enumerate(sorted(rig.lines("TLS verify")), start=1)
    ]
    assert verified == ([True, True] if cell == "V" else [])
    rig.logs.lines[:] = [line for line in rig.logs.lines if "DCID 2" not in line]
    assert _cell(rig, asking) == cell


@pytest.mark.parametrize(("level", "cell"), list(enumerate("CXXXXX", start=1)))
async def test_row_34_client_certificate_refused(rig: Rig, level: int, cell: str) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", client_anchors=[rig.root.pem], require=True)
    rig.level(level)
    await rig.send()
    await rig.idle()
    assert _cell(rig, peer) == cell
    if cell == "X":
        _nothing_in_clear(peer)
        assert rig.lines("TLS failed: tlsv13 alert certificate required")


def test_the_matrix_is_complete() -> None:
    """All 35 rows of delivery.md 4.2, some of them in several forms; 33 and 34 have tests of their own."""
    numbers = {int(row.number.split(" ")[0]) for row in ROWS} | {33, 34}
    assert numbers == set(range(1, 36))
    assert all(len(row.cells) == 6 and row.cells[0] == "C" for row in ROWS)


async def _reach(rig: Rig, *behaviours: str) -> Sequence[Peer]:
    """Hosts of d.test with these behaviours, in order of preference."""
    return [
        await rig.peer(f"mx{number}.d.test", f"127.0.10.{10 + number}", domain="d.test", preference=10 * number, behaviour=behaviour)
        for number, behaviour in enumerate(behaviours, start=1)
    ]


async def test_next_host_takes_over_and_nobody_is_alarmed(rig: Rig) -> None:
    rig.level(3)
    rig.commit(destination_globals=evolve(rig.snapshot.config.destination_globals, tls_alert=True))
    first, second = await _reach(rig, "no-starttls", "starttls-ok")
    await rig.send()
    await rig.idle()
    assert [len(first.messages), len(second.messages)] == [0, 1]
    assert rig.alerts.raised == []
    assert rig.lines("DCID 1 STARTTLS command not supported")
    assert rig.lines("DCID 2 TLS success")
    _nothing_in_clear(first)


async def test_refused_starttls_goes_on_in_clear_on_the_same_connection(rig: Rig) -> None:
    rig.level(2)
    (peer,) = await _reach(rig, "starttls-454")
    await rig.send()
    await rig.idle()
    assert peer.visits[0].commands == ["EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "QUIT"]
    assert not rig.lines("TLS success", "was required")


@pytest.mark.parametrize("behaviour", ["220-then-close", "220-then-garbage", "220-then-inject", "handshake-fail"])
@pytest.mark.parametrize("level", [2, 4])
async def test_after_the_220_nothing_in_clear_until_the_peer_is_repaired(rig: Rig, behaviour: str, level: int) -> None:
    rig.level(level)
    (peer,) = await _reach(rig, behaviour)
    await rig.send()
    await rig.idle()
    _nothing_in_clear(peer)
    assert rig.queue.active_recipients == 1
    peer.behaviour = "starttls-ok"
    await rig.advance(60)
    assert peer.messages[0].tls is not None
    assert rig.queue.active_recipients == 0


async def test_certificate_expires_with_the_appliance_clock(rig: Rig) -> None:
    rig.level(5)
    (peer,) = await _reach(rig, "starttls-ok")
    await rig.send()
    await rig.idle()
    assert len(peer.messages) == 1
    await rig.advance(91 * 86400)
    await rig.send()
    await rig.idle()
    assert len(peer.messages) == 1
    assert rig.lines("certificate has expired (CN=mx1.d.test)")


async def test_without_any_list_nothing_is_verified(rig: Rig) -> None:
    rig.snapshot = evolve(rig.snapshot, anchors=())
    rig.level(5)
    (peer,) = await _reach(rig, "starttls-ok")
    await rig.send()
    await rig.idle()
    assert peer.messages == []


async def test_a_hundred_certificates(rig: Rig) -> None:
    identity = rig.intermediate.issue(rig.clock.now(), dns_names=["d.test"])
    peer = await rig.peer(HOST, ADDRESS, domain="d.test", behaviour="long-chain", identity=identity)
    rig.level(5)
    await rig.send()
    await rig.idle()
    assert peer.messages == []
    assert rig.lines("TLS failed: verify error: certificate chain too long")
