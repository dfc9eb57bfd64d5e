"""`/xml/status` byte for byte (web-ui.md 13)."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from appliance_runtime.metrics import COUNTERS, RATES, Columns, Rates
from appliance_runtime.product import Product
from appliance_runtime.suspensions import Suspensions
from appliance_runtime.web.figures import Figures, Oldest, age, span
from appliance_runtime.web.status_xml import basic_credentials, document
from appliance_state.model.users import Role, User
from tests.support.edge import PASSPHRASE
from tests.support.web import Browser, WebAppliance

FIGURES = Figures(
    now=datetime(2026, 3, 6, 9, 0, tzinfo=UTC),
    started=datetime(2026, 3, 1, 8, 0, tzinfo=UTC),
    last_reset=None,
    system_status="Online",
    oldest=None,
    counters={name: Columns(n, n + 100, n + 1000) for n, name in enumerate(COUNTERS)},
    rates={name: Rates(n, n + 10, n + 20) for n, name in enumerate(RATES)},
    message_id=24,
    injection_conn_id=12,
    delivery_conn_id=17,
    gauges={"ram_utilization": 6, "conn_in": 3, "kbytes_free": 39845888},
    log_available=388 * 1024**3 + 17,
    messages=0,
    destinations=(),
)

HEAD = """\
<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>

<status build="C100V 15.5.1-055" hostname="mail3.example.com" timestamp="20260306090000">
  <birth_time timestamp="20260301080000 (5d 1h 0m 0s)"/>
  <last_counter_reset timestamp=""/>
  <system status="online" />
  <oldest_message secs="0" mid="0" />
  <features>
    <feature name="Incoming Mail Handling" time_remaining="Dormant/Perpetual" />
  </features>
  <counters>
    <counter name="inj_msgs"
        reset="0"
        uptime="100"
        lifetime="1000" />
    <counter name="inj_recips"
        reset="1"
        uptime="101"
        lifetime="1001" />
"""
MIDDLE = """\
    <counter name="global_unsub_hits"
        reset="15"
        uptime="115"
        lifetime="1015" />
  </counters>
  <current_ids
    message_id="24"
    injection_conn_id="12"
    delivery_conn_id="17" />
  <rates>
    <rate name="inj_msgs"
      last_1_min="0"
      last_5_min="10"
      last_15_min="20" />
"""
END = """\
      last_15_min="25" />
  </rates>
  <gauges>
    <gauge name="ram_utilization" current="6" />
    <gauge name="total_utilization" current="0" />
    <gauge name="cpu_utilization" current="0" />
    <gauge name="av_utilization" current="0" />
    <gauge name="case_utilization" current="0" />
    <gauge name="bm_utilization" current="0" />
    <gauge name="disk_utilization" current="0" />
    <gauge name="resource_conservation" current="0" />
    <gauge name="log_used" current="0" />
    <gauge name="log_available" current="388G" />
    <gauge name="conn_in" current="3" />
    <gauge name="conn_out" current="0" />
    <gauge name="active_recips" current="0" />
    <gauge name="unattempted_recips" current="0" />
    <gauge name="attempted_recips" current="0" />
    <gauge name="msgs_in_work_queue" current="0" />
    <gauge name="dests_in_memory" current="0" />
    <gauge name="kbytes_used" current="0" />
    <gauge name="kbytes_free" current="39845888" />
    <gauge name="msgs_in_policy_virus_outbreak_quarantine" current="0" />
    <gauge name="kbytes_in_policy_virus_outbreak_quarantine" current="0" />
    <gauge name="reporting_utilization" current="0" />
    <gauge name="quarantine_utilization" current="0" />
  </gauges>
</status>
"""


def names(text: str, element: str) -> list[str]:
    return [str(found.get("name")) for found in ET.fromstring(text.encode("iso-8859-1")).iter(element)]


def test_layout() -> None:
    text = document(FIGURES, Product(), "mail3.example.com", "GMT")
    assert text.startswith(HEAD)
    assert MIDDLE in text
    assert text.endswith(END)
    assert "\r" not in text


def test_order() -> None:
    text = document(FIGURES, Product(), "mail3.example.com", "GMT")
    assert " ".join(names(text, "counter")) == (
        "inj_msgs inj_recips gen_bounce_recips rejected_recips dropped_msgs soft_bounced_evts completed_recips "
        "hard_bounced_recips dns_hard_bounced_recips 5xx_hard_bounced_recips filter_hard_bounced_recips "
        "expired_hard_bounced_recips other_hard_bounced_recips delivered_recips deleted_recips global_unsub_hits"
    )
    assert " ".join(names(text, "rate")) == ("inj_msgs inj_recips soft_bounced_evts completed_recips hard_bounced_recips delivered_recips")


def test_times_are_local_and_values_are_quoted() -> None:
    figures = attrs.evolve(
        FIGURES,
        last_reset=datetime(2026, 3, 5, 23, 30, tzinfo=UTC),
        oldest=Oldest(mid=7, age=timedelta(seconds=90, microseconds=5)),
    )
    text = document(figures, Product(model='C"1'), "a<b>.example.com", "Asia/Tokyo")
    assert '<status build=\'C"1 15.5.1-055\' hostname="a&lt;b&gt;.example.com" timestamp="20260306180000">' in text
    assert '<last_counter_reset timestamp="20260306083000"/>' in text
    assert '<oldest_message secs="90" mid="7" />' in text


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0s"), (59, "59s"), (60, "1m 0s"), (81929, "22h 45m 29s"), (86400, "1d 0h 0m 0s"), (14607548, "169d 1h 39m 8s")],
)
def test_span(seconds: int, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0 secs"), (1, "1 sec"), (270, "4 mins 30 secs"), (14574648, "24 weeks 16 hours 30 mins 48 secs"), (90000, "1 day 1 hour")],
)
def test_age(seconds: int, text: str) -> None:
    assert age(timedelta(seconds=seconds)) == text


def basic(user: str, passphrase: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{passphrase}".encode()).decode()


@pytest.mark.parametrize(
    "header, credentials",
    [
        (basic("admin", "a:b"), ("admin", "a:b")),
        ("basic YTpi", ("a", "b")),
        (basic("", ""), ("", "")),
        ("Basic YWI=", None),  # no colon
        ("Basic !!!!", None),
        ("Basic /w==", None),  # not UTF-8
        ("Bearer YTpi", None),
        ("Basic", None),
        ("", None),
        (None, None),
    ],
)
def test_credentials(header: str | None, credentials: tuple[str, str] | None) -> None:
    assert basic_credentials(header) == credentials


@pytest.mark.parametrize("header", [None, "Basic !", basic("admin", "wrong"), basic("nobody", PASSPHRASE)])
async def test_without_the_right_passphrase(browser: Browser, header: str | None) -> None:
    answer = await browser.send("GET", "/xml/status", {"Authorization": header} if header else None)
    assert (answer.status, answer.headers["www-authenticate"], answer.body) == (401, 'Basic realm="AsyncOS"', b"")


async def test_failures_count_for_the_account(browser: Browser, appliance: WebAppliance) -> None:
    appliance.set_user(User(name="bob", role=Role.GUEST), "long enough")
    for _ in range(5):
        await browser.get("/xml/status", Authorization=basic("bob", "wrong"))
    assert (await browser.get("/xml/status", Authorization=basic("bob", "long enough"))).status == 401


async def test_any_role_may_read_and_no_session_begins(browser: Browser, appliance: WebAppliance) -> None:
    appliance.set_user(User(name="bob", role=Role.GUEST), "long enough")
    answer = await browser.get("/xml/status", Authorization=basic("bob", "long enough"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/xml; charset=iso-8859-1"
    assert not appliance.sessions.open
    assert not answer.cookies


async def counters(browser: Browser) -> dict[str, Any]:
    root = ET.fromstring((await browser.get("/xml/status", Authorization=basic("admin", PASSPHRASE))).body)
    found: dict[str, Any] = {str(e.get("name")): e.get("reset") for e in root.iter("counter")}
    found |= {str(e.get("name")): e.get("current") for e in root.iter("gauge")}
    for element in ("oldest_message", "current_ids"):
        found[element] = {} if (e := root.find(element)) is None else dict(e.attrib)
    return found


async def test_the_figures_follow_queue_and_counters(browser: Browser, appliance: WebAppliance) -> None:
    before = await counters(browser)
    assert before["oldest_message"] == {"secs": "0", "mid": "0"}
    mid = await appliance.put_in_queue("b@b.test", "c@b.test", "d@d.test")
    await appliance.queue.deferred(mid, [0], next_attempt=appliance.clock.now() + timedelta(hours=1), reason="x")
    appliance.counters.add("inj_msgs")
    appliance.counters.add("5xx_hard_bounced_recips", 2)
    appliance.counters.add("delivered_recips", 3)
    appliance.counters.gauge("conn_in", 1)
    await appliance.clock.advance(75)
    after = await counters(browser)
    assert after["inj_msgs"] == "1"
    assert after["hard_bounced_recips"] == "2"
    assert after["completed_recips"] == "5"
    assert after["conn_in"] == "1"
    assert (after["active_recips"], after["attempted_recips"], after["unattempted_recips"]) == ("3", "1", "2")
    assert after["dests_in_memory"] == "2"
    assert after["oldest_message"] == {"secs": "75", "mid": str(mid)}
    assert after["current_ids"]["message_id"] == str(mid + 1)
    assert int(after["kbytes_used"]) > 0
    assert 0 < int(after["kbytes_free"]) <= 40 * 1024 * 1024


@pytest.mark.parametrize(
    ("suspensions", "status"),
    [
        (Suspensions(receiving=True), "receiving suspended"),
        (Suspensions(delivery=True), "delivery suspended"),
        (Suspensions(receiving=True, delivery=True), "offline"),
        (Suspensions().with_pause("admin", "lunch"), "work queue paused"),
    ],
)
async def test_what_is_suspended(browser: Browser, appliance: WebAppliance, suspensions: Suspensions, status: str) -> None:
    appliance.suspending.now = suspensions
    answer = await browser.get("/xml/status", Authorization=basic("admin", PASSPHRASE))
    assert f'  <system status="{status}" />\n' in answer.body.decode("latin-1")
