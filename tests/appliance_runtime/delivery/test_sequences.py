"""The lines of the log, byte for byte and in order (delivery.md 11)."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from appliance_state.model.interfaces import FACTORY_INTERFACE
from appliance_state.table import Table

Rig = Any


def with_interface(rig: Rig) -> None:
    rig.commit(interfaces=Table([evolve(FACTORY_INTERFACE, ipv4="192.0.2.1", hostname="mail3.example.com")]))


async def test_delivered_over_verified_tls(rig: Rig) -> None:
    with_interface(rig)
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test", final_reply="250 2.0.0 Ok: queued as 3jj")
    rig.level(5)
    mid = await rig.send("bob@d.test")
    await rig.idle()
    cipher = rig.lines("TLS success")[0].rpartition(" ")[2]
    assert rig.logs.lines == [
        "New SMTP DCID 1 interface 192.0.2.1 address 127.0.10.11 port 25",
        f"DCID 1 TLS success protocol TLSv1.3 cipher {cipher}",
        "DCID 1 TLS verify success: dNSName d.test matches d.test (destination domain)",
        f"Delivery start DCID 1 MID {mid} to RID [0]",
        f"Message done DCID 1 MID {mid} to RID [0]",
        f"MID {mid} RID [0] Response '2.0.0 Ok: queued as 3jj'",
        f"Message finished MID {mid} done",
        "DCID 1 close",
    ]
    assert peer.visits[0].lines[0] == ("EHLO mail3.example.com", False)
    assert peer.visits[0].commands == ["EHLO", "STARTTLS", "EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert peer.visits[0].sni == "mx1.d.test"


async def test_refused_for_a_missing_intermediate(rig: Rig) -> None:
    with_interface(rig)
    identity = rig.intermediate.issue(rig.clock.now(), dns_names=["d.test"], send_chain=False)
    await rig.peer("mx1.d.test", "127.0.10.12", domain="d.test", identity=identity)
    rig.level(5)
    mid = await rig.send("bob@d.test")
    await rig.idle()
    assert rig.logs.lines == [
        "New SMTP DCID 1 interface 192.0.2.1 address 127.0.10.12 port 25",
        "DCID 1 TLS failed: verify error: unable to get local issuer certificate (issuer: CN=Lab Intermediate CA)",
        "DCID 1 IP 127.0.10.12 TLS was required but could not be successfully negotiated",
        "DCID 1 close",
        f"Delayed: DCID 1 MID {mid} to RID 0 - 4.7.5 - Cryptographic failure "
        "('000', ['verify error: unable to get local issuer certificate (issuer: CN=Lab Intermediate CA)']) []",
        f"Message {mid} to RID [0] pending till Fri Mar  6 09:01:00 2026",
    ]


async def test_refused_connection(rig: Rig) -> None:
    with_interface(rig)
    peer = await rig.peer("mx1.d.test", "127.0.10.13", domain="d.test")
    await peer.stop()
    mid = await rig.send("bob@d.test")
    await rig.idle()
    assert rig.logs.lines == [
        "New SMTP DCID 1 interface 192.0.2.1 address 127.0.10.13 port 25",
        "Connection Error: DCID 1 domain: d.test IP: 127.0.10.13 port: 25 details: [Errno 111] Connection refused "
        "interface: 192.0.2.1 reason: network error",
        f"Delayed: DCID 1 MID {mid} to RID 0 - 4.4.0 - Other network problem ('000', ['[Errno 111] Connection refused']) []",
        f"Message {mid} to RID [0] pending till Fri Mar  6 09:01:00 2026",
    ]


async def test_bounced_by_the_peer(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.14", domain="d.test", rcpt_replies={"x@d.test": "550 5.1.1 <x@d.test>... User unknown"})
    sink = await rig.peer("mx.example.test", "127.0.10.15", domain="example.test")
    mid = await rig.send("x@d.test", "y@d.test")
    await sink.wait(1)
    await rig.idle()
    bounce = mid + 1
    size = len(sink.messages[0].octets)
    expected = [
        f"Delivery start DCID 1 MID {mid} to RID [0, 1]",
        f"Message done DCID 1 MID {mid} to RID [1]",
        f"MID {mid} RID [1] Response '2.0.0 Ok: queued as 1'",
        f"Bounced: DCID 1 MID {mid} to RID 0 - 5.1.0 - Unknown address error ('550', ['5.1.1 <x@d.test>... User unknown']) []",
        f"Bounced: DCID 1 MID {mid} From:<alice@example.test> To:<x@d.test> RID 0 - 5.1.0 - Unknown address error "
        "('550', ['5.1.1 <x@d.test>... User unknown'])",
        f"MID {bounce} was generated for bounce of MID {mid}",
        f"Start MID {bounce} ICID 0",
        f"MID {bounce} ICID 0 From: <>",
        f"MID {bounce} ICID 0 RID 0 To: <alice@example.test>",
        f"MID {bounce} ready {size} bytes from <>",
        f"MID {bounce} queued for delivery",
        f"Message finished MID {mid} done",
    ]
    assert [line for line in rig.logs.lines if line in expected] == expected
    assert [len(peer.messages), peer.messages[0].recipients] == [1, ("y@d.test",)]


async def test_level_1_says_nothing_of_tls(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.16", domain="d.test")
    rig.level(1)
    await rig.send()
    await rig.idle()
    assert peer.visits[0].commands == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert not rig.lines("TLS")
