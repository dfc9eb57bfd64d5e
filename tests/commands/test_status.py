"""status, status detail, resetcounters: layout and figures (operations.md 2)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import evolve

from appliance_runtime.delivery.host_states import HostStates
from appliance_runtime.metrics import COUNTERS, RATES, Columns, Counters, Rates
from appliance_runtime.queue.envelope import NewMessage
from appliance_runtime.queue.message_queue import MessageQueue
from appliance_runtime.suspending import Suspending
from appliance_runtime.suspensions import Suspensions
from appliance_runtime.web.figures import Figures, Oldest
from appliance_state.model import Config
from appliance_state.model.system import System
from commands.status import COMMANDS, status_text
from tests.support.appliance import DialogAppliance, make_session
from tests.support.terminal import run_batch, run_dialog

STATUS, RESETCOUNTERS = COMMANDS
ZONE = "America/Los_Angeles"
TWENTY = {"inj_msgs", "inj_recips", "completed_recips"}
EXAMPLE = Figures(
    now=datetime(2004, 10, 21, 21, 33, 27, tzinfo=UTC),
    started=datetime(2004, 10, 20, 22, 47, 58, tzinfo=UTC),
    last_reset=None,
    system_status="Online",
    oldest=Oldest(mid=3, age=timedelta(minutes=4, seconds=30)),
    counters={name: Columns(20, 20, 20) if name in TWENTY else Columns(0, 0, 0) for name in COUNTERS},
    rates={name: Rates(0, 0, 0) for name in RATES},
    message_id=22,
    injection_conn_id=24,
    delivery_conn_id=5,
    gauges={"kbytes_free": 39845888},
    log_available=0,
    messages=0,
    destinations=(),
)
TRANSCRIPT = """\
Enter "status detail" for more information.

Status as of:                  Thu Oct 21 14:33:27 2004 PDT
Up since:                      Wed Oct 20 15:47:58 2004 PDT (22h 45m 29s)
Last counter reset:            Never
System status:                 Online
Oldest Message:                4 mins 30 secs

Counters:                          Reset          Uptime        Lifetime
  Receiving
    Messages Received                 20              20              20
    Recipients Received               20              20              20
  Rejection
    Rejected Recipients                0               0               0
    Dropped Messages                   0               0               0
  Queue
    Soft Bounced Events                0               0               0
  Completion
    Completed Recipients              20              20              20
  Current IDs
    Message ID (MID)                                                  21
    Injection Conn. ID (ICID)                                         23
    Delivery Conn. ID (DCID)                                           4

Gauges:                          Current
  Connections
    Current Inbound Conn.              0
    Current Outbound Conn.             0
  Queue
    Active Recipients                  0
    Messages In Work Queue             0
    Messages In Quarantine
      Policy, Virus and Outbreak       0
    Kilobytes Used                     0
    Kilobytes Free            39,845,888"""
DETAIL = """\
Status as of:                  Thu Oct 21 14:33:27 2004 PDT
Up since:                      Wed Oct 20 15:47:58 2004 PDT (22h 45m 29s)
Last counter reset:            Wed Oct 20 15:48:58 2004 PDT
System status:                 Online
Oldest Message:                No Messages
Feature - Incoming Mail Handling: Perpetual

Counters:                          Reset          Uptime        Lifetime
  Receiving
    Messages Received                  0           1,000       1,234,567
    Recipients Received                1           1,001       1,234,568
    Gen. Bounce Recipients             2           1,002       1,234,569
  Rejection
    Rejected Recipients                3           1,003       1,234,570
    Dropped Messages                   4           1,004       1,234,571
  Queue
    Soft Bounced Events                5           1,005       1,234,572
  Completion
    Completed Recipients               6           1,006       1,234,573
      Hard Bounced Recipients          7           1,007       1,234,574
        DNS Hard Bounces               8           1,008       1,234,575
        5XX Hard Bounces               9           1,009       1,234,576
        Expired Hard Bounces          11           1,011       1,234,578
        Filter Hard Bounces           10           1,010       1,234,577
        Other Hard Bounces            12           1,012       1,234,579
      Delivered Recipients            13           1,013       1,234,580
      Deleted Recipients              14           1,014       1,234,581
      Global Unsub. Hits              15           1,015       1,234,582
  Current IDs
    Message ID (MID)                                                  21
    Injection Conn. ID (ICID)                                         23
    Delivery Conn. ID (DCID)                                           4

Rates (Events Per Hour):        1-Minute       5-Minutes      15-Minutes
  Receiving
    Messages Received                  0              10           1,000
    Recipients Received                1              11           1,001
  Queue
    Soft Bounced Events                2              12           1,002
  Completion
    Completed Recipients               3              13           1,003
    Hard Bounced Recipients            4              14           1,004
    Delivered Recipients               5              15           1,005

Gauges:                          Current
  System
    RAM Utilization                   1%
    CPU Utilization
      MGA                             2%
      AntiSpam                        0%
      AntiVirus                       0%
    Disk I/O Utilization             33%
    Resource Conservation              0
  Connections
    Current Inbound Conn.              4
    Current Outbound Conn.             5
  Queue
    Active Recipients              1,006
      Unattempted Recipients           6
      Attempted Recipients         1,000
    Messages In Work Queue             0
    Messages In Quarantine
      Policy, Virus and Outbreak       0
    Destinations In Memory             7
    Kilobytes Used                     8
    Kilobytes Free            39,845,888"""
GAUGES = {
    "ram_utilization": 1,
    "cpu_utilization": 2,
    "disk_utilization": 33,
    "conn_in": 4,
    "conn_out": 5,
    "active_recips": 1006,
    "unattempted_recips": 6,
    "attempted_recips": 1000,
    "dests_in_memory": 7,
    "kbytes_used": 8,
    "kbytes_free": 39845888,
}


def test_layout_of_the_specification() -> None:
    assert status_text(EXAMPLE, ZONE, detail=False) == TRANSCRIPT


def test_layout_of_the_detail() -> None:
    figures = evolve(
        EXAMPLE,
        last_reset=EXAMPLE.started + timedelta(minutes=1),
        oldest=None,
        counters={name: Columns(n, 1000 + n, 1234567 + n) for n, name in enumerate(COUNTERS)},
        rates={name: Rates(n, 10 + n, 1000 + n) for n, name in enumerate(RATES)},
        gauges=GAUGES,
    )
    assert status_text(figures, ZONE, detail=True) == DETAIL


@pytest.mark.parametrize("detail", [False, True])
def test_numbers_end_at_their_edges(detail: bool) -> None:
    for row in status_text(EXAMPLE, ZONE, detail=detail).splitlines():
        assert row == row.rstrip()
        if row.startswith("    ") and row[-1] in "0123456789%":
            assert len(row) in (40, 72)


class RunningAppliance(DialogAppliance):
    """With counters and a queue."""

    counters: Counters
    queue: MessageQueue
    suspending: Suspending
    agent: SimpleNamespace
    directory: SimpleNamespace


@pytest.fixture
async def appliance(tmp_path: Path) -> AsyncIterator[RunningAppliance]:
    appliance = RunningAppliance(config=Config().with_(system=System(timezone="Asia/Tokyo")), files=tmp_path)
    appliance.counters = Counters(appliance.clock)
    appliance.directory = SimpleNamespace(queue=tmp_path / "queue", logs=tmp_path)
    appliance.agent = SimpleNamespace(hosts=HostStates(appliance.clock.now))
    appliance.suspending = Suspending(cast(Any, appliance), Suspensions())
    appliance.queue = await MessageQueue.open(appliance.directory.queue, appliance.clock)
    yield appliance
    await appliance.queue.close()


async def accept(appliance: RunningAppliance, *recipients: str) -> None:
    queue = appliance.queue
    body = queue.new_body()
    body.write(bytes(5000))
    await queue.accept(
        NewMessage(
            mid=queue.next_mid(),
            sender="a@sender.test",
            recipients=recipients,
            body=body,
            received=appliance.clock.now(),
            listener="InboundMail",
            bounce_profile="Default",
            direction="outbound",
            icid=queue.next_icid(),
        )
    )


async def test_status_shows_the_figures_of_the_appliance(appliance: RunningAppliance) -> None:
    session = make_session(appliance=appliance)
    screen = await run_dialog(STATUS, session, [])
    assert "Oldest Message:                No Messages\n" in screen
    assert "    Message ID (MID)                                                   0\n" in screen
    await accept(appliance, "x@a.test", "y@a.test")
    await accept(appliance, "z@b.test")
    await appliance.queue.deferred(1, [1], next_attempt=appliance.clock.now() + timedelta(hours=1), reason="timeout")
    await appliance.clock.advance(24 * 604800 + 16 * 3600 + 30 * 60 + 48)
    appliance.counters.add("inj_msgs", 2)
    appliance.counters.add("delivered_recips", 3)
    appliance.counters.gauge("conn_in", 1)
    screen = await run_dialog(STATUS, session, [])
    for row in (
        "Status as of:                  Wed May 12 10:30:48 2027 JST\n",
        "Up since:                      Tue Nov 24 18:00:00 2026 JST (168d 16h 30m 48s)\n",
        "Oldest Message:                24 weeks 16 hours 30 mins 48 secs\n",
        "    Messages Received                  2               2               2\n",
        "    Completed Recipients               3               3               3\n",
        "    Message ID (MID)                                                   2\n",
        "    Injection Conn. ID (ICID)                                          2\n",
        "    Delivery Conn. ID (DCID)                                           0\n",
        "    Current Inbound Conn.              1\n",
        "    Active Recipients                  3\n",
    ):
        assert row in screen
    screen, failed = await run_batch(STATUS, session, "status detail")
    assert not failed
    for row in (
        "Feature - Incoming Mail Handling: Perpetual\n",
        "      Unattempted Recipients           2\n",
        "      Attempted Recipients             1\n",
        "    Destinations In Memory             2\n",
        "      Delivered Recipients             3               3               3\n",
        "    Messages Received                120              24               8\n",
    ):
        assert row in screen


async def test_resetcounters(appliance: RunningAppliance) -> None:
    appliance.counters.add("inj_msgs", 2)
    session = make_session(appliance=appliance)
    assert await run_dialog(RESETCOUNTERS, session, []) == "Counters reset: Tue Nov 24 18:00:00 2026\n"
    screen = await run_dialog(STATUS, session, [])
    assert "Last counter reset:            Tue Nov 24 18:00:00 2026 JST\n" in screen
    assert "    Messages Received                  0               2               2\n" in screen
    assert not session.draft.changed


async def test_another_word_is_a_syntax_error() -> None:
    output = "Invalid arguments when processing status:\nUnknown operation.\n: 'all'\n"
    assert await run_batch(STATUS, make_session(), "status all") == (output, True)
