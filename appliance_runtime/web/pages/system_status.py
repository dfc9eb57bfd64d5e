"""Monitor > System Status: the values of `status detail` (operations.md 2, web-ui.md 12)."""

from __future__ import annotations

from attrs import frozen
from starlette.responses import Response

from appliance_runtime.clock import long_date
from appliance_runtime.web.figures import Figures, age, collect, span
from appliance_runtime.web.visit import Visit

Labels = tuple[tuple[str, tuple[tuple[str, str, int], ...]], ...]
"""groups: label, then (label, XML name, indentation) of each line"""

COUNTERS: Labels = (
    (
        "Receiving",
        (
            ("Messages Received", "inj_msgs", 1),
            ("Recipients Received", "inj_recips", 1),
            ("Gen. Bounce Recipients", "gen_bounce_recips", 1),
        ),
    ),
    ("Rejection", (("Rejected Recipients", "rejected_recips", 1), ("Dropped Messages", "dropped_msgs", 1))),
    ("Queue", (("Soft Bounced Events", "soft_bounced_evts", 1),)),
    (
        "Completion",
        (
            ("Completed Recipients", "completed_recips", 1),
            ("Hard Bounced Recipients", "hard_bounced_recips", 1),
            ("DNS Hard Bounces", "dns_hard_bounced_recips", 2),
            ("5XX Hard Bounces", "5xx_hard_bounced_recips", 2),
            ("Expired Hard Bounces", "expired_hard_bounced_recips", 2),
            ("Filter Hard Bounces", "filter_hard_bounced_recips", 2),
            ("Other Hard Bounces", "other_hard_bounced_recips", 2),
            ("Delivered Recipients", "delivered_recips", 1),
            ("Deleted Recipients", "deleted_recips", 1),
            ("Global Unsub. Hits", "global_unsub_hits", 1),
        ),
    ),
)
RATES: Labels = (
    ("Receiving", (("Messages Received", "inj_msgs", 1), ("Recipients Received", "inj_recips", 1))),
    ("Queue", (("Soft Bounced Events", "soft_bounced_evts", 1),)),
    (
        "Completion",
        (
            ("Completed Recipients", "completed_recips", 1),
            ("Hard Bounced Recipients", "hard_bounced_recips", 1),
            ("Delivered Recipients", "delivered_recips", 1),
        ),
    ),
)
GAUGES: Labels = (
    (
        "System",
        (
            ("RAM Utilization", "ram_utilization", 1),
            ("CPU Utilization", "total_utilization", 1),
            ("MGA", "cpu_utilization", 2),
            ("AntiSpam", "case_utilization", 2),
            ("AntiVirus", "av_utilization", 2),
            ("Disk I/O Utilization", "disk_utilization", 1),
            ("Resource Conservation", "resource_conservation", 1),
        ),
    ),
    ("Connections", (("Current Inbound Conn.", "conn_in", 1), ("Current Outbound Conn.", "conn_out", 1))),
    (
        "Queue",
        (
            ("Active Recipients", "active_recips", 1),
            ("Unattempted Recipients", "unattempted_recips", 2),
            ("Attempted Recipients", "attempted_recips", 2),
            ("Messages In Work Queue", "msgs_in_work_queue", 1),
            ("Messages In Quarantine (Policy, Virus and Outbreak)", "msgs_in_policy_virus_outbreak_quarantine", 1),
            ("Destinations In Memory", "dests_in_memory", 1),
            ("Kilobytes Used", "kbytes_used", 1),
            ("Kilobytes Free", "kbytes_free", 1),
        ),
    ),
)


@frozen
class Line:
    label: str
    name: str
    depth: int
    values: tuple[str, ...]


@frozen
class Group:
    label: str
    lines: tuple[Line, ...]


@frozen(kw_only=True)
class StatusView:
    """What the tables of the page show."""

    facts: tuple[tuple[str, str], ...]
    counters: tuple[Group, ...]
    rates: tuple[Group, ...]
    gauges: tuple[Group, ...]


def _groups(labels: Labels, values: dict[str, tuple[str, ...]]) -> tuple[Group, ...]:
    return tuple(Group(label, tuple(Line(text, name, depth, values[name]) for text, name, depth in lines)) for label, lines in labels)


def _number(value: int) -> str:
    return f"{value:,}"


def view(figures: Figures, timezone: str) -> StatusView:
    """The figures as texts."""
    counters = {name: tuple(map(_number, (c.reset, c.uptime, c.lifetime))) for name, c in figures.counters.items()}
    rates = {name: tuple(map(_number, (r.minute, r.five_minutes, r.fifteen_minutes))) for name, r in figures.rates.items()}
    gauges: dict[str, tuple[str, ...]] = {}
    for _, lines in GAUGES:
        for _, name, _ in lines:
            percent = "%" if name.endswith("_utilization") else ""
            gauges[name] = (f"{figures.gauges.get(name, 0):,}{percent}",)
    ids = (
        Line("Message ID (MID)", "message_id", 1, (_number(figures.message_id),)),
        Line("Injection Conn. ID (ICID)", "injection_conn_id", 1, (_number(figures.injection_conn_id),)),
        Line("Delivery Conn. ID (DCID)", "delivery_conn_id", 1, (_number(figures.delivery_conn_id),)),
    )
    return StatusView(
        facts=(
            ("Status as of", long_date(figures.now, timezone)),
            ("Up since", f"{long_date(figures.started, timezone)} ({span(figures.up_time)})"),
            ("Last counter reset", long_date(figures.last_reset, timezone) if figures.last_reset else "Never"),
            ("System status", figures.system_status),
            ("Oldest Message", age(figures.oldest.age) if figures.oldest else "No Messages"),
            ("Feature - Incoming Mail Handling", "Perpetual"),
        ),
        counters=_groups(COUNTERS, counters),
        rates=_groups(RATES, rates),
        gauges=(Group("Current IDs", ids), *_groups(GAUGES, gauges)),
    )


async def page(visit: Visit) -> Response:
    """`/monitor/system_status`."""
    figures = await collect(visit.appliance, visit.site.load)
    return visit.page("system_status.html", "System Status", view=view(figures, visit.config.system.timezone))
