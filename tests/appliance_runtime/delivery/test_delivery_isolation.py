"""One destination, whatever it does, delays no other (delivery.md 12, item 17)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import evolve

from appliance_state.model.routes import RouteHost, SmtpRoute

Rig = Any


async def test_others_are_served_while_a_thousand_failures_are_recorded(rig: Rig) -> None:
    gone = await rig.peer("mx.gone.test", "127.0.10.11", domain="gone.test")
    await gone.stop()
    peer = await rig.peer("mx.d.test", "127.0.10.12", domain="d.test")
    await asyncio.gather(*(rig.send(f"{n}@gone.test") for n in range(1000)))
    await rig.until(lambda: rig.lines("Delayed"), "the first failures")
    assert len(rig.lines("Delayed")) < 1000
    await asyncio.gather(*(rig.send(f"{n}@d.test") for n in range(50)))
    await peer.wait(50)
    served = len(rig.logs.lines)
    await rig.idle()
    delayed = [number for number, line in enumerate(rig.logs.lines) if line.startswith("Delayed")]
    assert len(delayed) == 1000
    assert served < delayed[900], "the failures came first"
    assert len(rig.lines("New SMTP DCID")) < 5, "one connection for all mail of the dead domain"


async def test_failures_of_one_attempt_share_their_end(rig: Rig) -> None:
    """All of it is due again in the same second, however long it takes to write it down."""
    gone = await rig.peer("mx.gone.test", "127.0.10.11", domain="gone.test")
    await gone.stop()
    await asyncio.gather(*(rig.send(f"{n}@gone.test") for n in range(120)))
    await rig.idle()
    pending = {line.partition("pending till ")[2] for line in rig.lines("pending till")}
    assert pending == {"Fri Mar  6 09:01:00 2026"}
    await rig.advance(60)
    assert len(rig.lines("New SMTP DCID")) == 2


@pytest.mark.parametrize(
    ("behaviour", "messages"), [("tarpit", 100), ("endless-reply", 30), ("handshake-hang", 100), ("long-chain", 20), ("slow", 100)]
)
async def test_a_hostile_peer_with_much_mail(rig: Rig, behaviour: str, messages: int) -> None:
    """At required, verified TLS, and with few places for it."""
    rig.agent._opener.scale = 0.1  # 30 s for a greeting, 6 s for a handshake
    rig.level(5)
    rig.commit(delivery=evolve(rig.snapshot.config.delivery, tls_max_concurrency=10, max_concurrency=20))
    rig.destination("bad.test", max_messages_per_connection=1, max_host_concurrency=500)
    bad = await rig.peer(
        "mx.bad.test", "127.0.10.11", domain="bad.test", identity=rig.intermediate.issue(rig.clock.now(), common_name="bad.test")
    )
    good = await rig.peer("mx.d.test", "127.0.10.12", domain="d.test")
    # It has served well once, so that many connections are opened to it, and then changes its mind.
    await rig.send("a@bad.test")
    await bad.wait(1)
    bad.behaviour = behaviour
    await asyncio.gather(*(rig.send(f"{n}@bad.test") for n in range(messages)))
    await rig.until(lambda: len(bad.visits) > 1, "mail on its way to the hostile peer")
    await rig.send("a@d.test")
    await good.wait(1, limit=5)


async def test_ten_thousand_places_are_not_looked_through(rig: Rig) -> None:
    """Destinations that wait for a place cost nothing while they wait."""
    rig.commit(
        smtp_routes=rig.snapshot.config.smtp_routes.put(SmtpRoute(domain="ALL", hosts=(RouteHost(host="127.0.10.12"),))),
        delivery=evolve(rig.snapshot.config.delivery, max_concurrency=2),
    )
    peer = await rig.peer("mx.all.test", "127.0.10.12")
    await asyncio.gather(*(rig.send(f"a@{n}.test") for n in range(200)))
    await peer.wait(200)
    await rig.idle()
    assert not rig.agent.resting, "nobody who has gone is remembered"
    assert max(_at_once(rig)) <= 2
    assert len(peer.visits) == 200


def _at_once(rig: Rig) -> list[int]:
    counts, count = [], 0
    for line in rig.logs.lines:
        count += line.startswith("New SMTP DCID") - line.endswith(" close")
        counts.append(count)
    return counts
