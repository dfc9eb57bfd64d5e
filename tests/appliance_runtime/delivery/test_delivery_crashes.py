"""A defect in delivery: reported once, nothing stays in hand, and mail goes on."""

from __future__ import annotations

import asyncio
from typing import Any

from appliance_runtime.logs.writer import MemoryLogs
from asyncos_shell.lab.dns_server import LabDns

Rig = Any


class Defect(Exception):
    pass


class DefectiveLogs(MemoryLogs):
    """Falls over one event of one message."""

    def __init__(self, rig: Rig, name: str, mid: int) -> None:
        super().__init__(rig.clock)
        self.lines, self.events = rig.logs.lines, rig.logs.events
        self._defect = (name, mid)

    def event(self, name: str, **fields: object) -> None:
        if (name, fields.get("mid")) == self._defect:
            raise Defect(f"{name} of MID {fields['mid']}")
        super().event(name, **fields)


def defective(rig: Rig, name: str, mid: int) -> None:
    rig.agent.logs = rig.agent.results.logs = DefectiveLogs(rig, name, mid)


def repaired(rig: Rig) -> None:
    rig.agent.logs = rig.agent.results.logs = rig.logs
    rig.crashes.clear()


async def test_the_message_at_fault_makes_way_for_the_others(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    rig.destination(max_host_concurrency=1)
    defective(rig, "mid.delivery_start", 2)
    await asyncio.gather(*(rig.send(f"{n}@d.test") for n in (1, 2, 3, 4)))
    await rig.until(lambda: rig.crashes, "a crash")
    await rig.until(lambda: not rig.agent.busy or len(peer.messages) == 3, "mail goes on after a rest", limit=15)
    await rig.idle()
    assert [one.recipients for one in peer.messages] == [("1@d.test",), ("3@d.test",), ("4@d.test",)]
    ((what, error),) = rig.crashes
    assert what == "delivery to d.test" and error.startswith("Defect: mid.delivery_start of MID 2 (event, line ")
    assert "QUIT" not in peer.visits[0].commands
    assert rig.lines("DCID 1 close") and rig.counters.current("conn_out") == 0
    repaired(rig)
    await rig.advance(60)
    assert peer.messages[-1].recipients == ("2@d.test",)
    assert not rig.lines("Delayed") and rig.queue.active_recipients == 0


async def test_a_domain_rests_after_a_crash_and_disturbs_no_other(rig: Rig) -> None:
    """What fails before any message is in hand: everything is given back, a commit ends the rest."""
    await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    other = await rig.peer("mx1.e.test", "127.0.10.12", domain="e.test")
    source, rig.agent.rng = rig.agent.rng, None
    await rig.send("a@d.test")
    await rig.send("b@d.test")
    await rig.until(lambda: rig.crashes, "a crash")
    rig.agent.rng = source
    await rig.send("c@d.test")
    await rig.send("a@e.test")
    await other.wait(1)
    assert rig.peers[0].visits == []
    assert len(rig.crashes) == 1
    assert len(rig.queue.due("d.test", rig.clock.now(), 9, "anyone")) == 3
    rig.queue.give_back("d.test", "anyone")
    rig.commit()
    await rig.peers[0].wait(3)
    repaired(rig)


async def test_a_crash_while_failures_are_recorded(rig: Rig) -> None:
    dns: LabDns = rig.dns
    dns.set("d.test MX 0 .")
    defective(rig, "mid.bounced", 1)
    await rig.send("a@d.test", sender="")
    await rig.send("b@d.test", sender="")
    await rig.until(lambda: rig.crashes, "a crash")
    rig.agent.configuration_changed()
    await rig.idle()
    assert rig.lines("Bounced: DCID 0 MID 2") and rig.queue.active_recipients == 1
    repaired(rig)
    await rig.advance(60)
    assert rig.lines("Bounced: DCID 0 MID 1") and rig.queue.active_recipients == 0


async def test_stop_does_not_wait_for_a_rest(rig: Rig) -> None:
    await rig.peer("mx1.d.test", "127.0.10.11", domain="d.test")
    rig.agent.rng = None
    await rig.send("a@d.test")
    await rig.until(lambda: rig.crashes, "a crash")
    await asyncio.sleep(0)
    async with asyncio.timeout(0.9):
        await rig.agent.stop(30)
    assert not rig.agent.busy and rig.queue.active_recipients == 1
    rig.crashes.clear()
