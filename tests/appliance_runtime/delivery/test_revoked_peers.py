"""Revocation lists have their effect on delivery (certconfig.md 6, 13.21; delivery.md 5.1)."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from appliance_state.certificates.crl import RevocationLists, read_crl
from appliance_state.model.certificates import CrlSettings

Rig = Any
HOST, ADDRESS = "mx1.d.test", "127.0.10.11"


async def test_a_revoked_peer_is_refused_while_lists_count(rig: Rig) -> None:
    identity = rig.intermediate.issue(rig.clock.now(), common_name=HOST, dns_names=["d.test"])
    crl = rig.intermediate.revocation_list(rig.clock.now(), identity.certificate)
    peer = await rig.peer(HOST, ADDRESS, domain="d.test", identity=identity)
    rig.level(5)
    rig.revocations = RevocationLists([read_crl(crl.public_bytes(Encoding.DER), pem=False)])

    async def delivered() -> bool:
        peer.messages.clear()
        rig.logs.lines.clear()
        await rig.send()
        await rig.idle()
        return bool(peer.messages)

    assert await delivered(), "lists do not count"
    rig.commit(crl=CrlSettings(check_outbound=True))
    assert not await delivered()
    assert rig.lines("DCID 2 TLS failed: verify error: certificate revoked (CN=mx1.d.test)")
    rig.commit(crl=CrlSettings(check_inbound=True))
    assert await delivered()
    rig.commit(crl=CrlSettings(check_outbound=True))
    rig.revocations = RevocationLists()
    assert await delivered(), "the list has gone"
