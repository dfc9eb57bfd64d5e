"""status, status detail, resetcounters: the figures of the appliance at a glance (operations.md 2).

The same figures are behind /xml/status. Right edges of the number columns: 40, 56, 72; labels of the head lines take 31.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance_runtime.clock import long_date, short_date
from appliance_runtime.sessions import Session
from appliance_runtime.web.figures import Figures, ProcessLoad, age, collect, span
from commands.arguments import Arguments
from commands.dialog import Conversation
from commands.registry import Command

HEAD_WIDTH = 31
FIRST_EDGE = 40
COLUMN_WIDTH = 16

# Rows are (where, indentation, label, XML name). A row without name is a heading.
DETAIL = True
"""only in `status detail`"""
BOTH = False
COUNTERS = (
    (BOTH, 2, "Receiving", None),
    (BOTH, 4, "Messages Received", "inj_msgs"),
    (BOTH, 4, "Recipients Received", "inj_recips"),
    (DETAIL, 4, "Gen. Bounce Recipients", "gen_bounce_recips"),
    (BOTH, 2, "Rejection", None),
    (BOTH, 4, "Rejected Recipients", "rejected_recips"),
    (BOTH, 4, "Dropped Messages", "dropped_msgs"),
    (BOTH, 2, "Queue", None),
    (BOTH, 4, "Soft Bounced Events", "soft_bounced_evts"),
    (BOTH, 2, "Completion", None),
    (BOTH, 4, "Completed Recipients", "completed_recips"),
    (DETAIL, 6, "Hard Bounced Recipients", "hard_bounced_recips"),
    (DETAIL, 8, "DNS Hard Bounces", "dns_hard_bounced_recips"),
    (DETAIL, 8, "5XX Hard Bounces", "5xx_hard_bounced_recips"),
    (DETAIL, 8, "Expired Hard Bounces", "expired_hard_bounced_recips"),
    (DETAIL, 8, "Filter Hard Bounces", "filter_hard_bounced_recips"),
    (DETAIL, 8, "Other Hard Bounces", "other_hard_bounced_recips"),
    (DETAIL, 6, "Delivered Recipients", "delivered_recips"),
    (DETAIL, 6, "Deleted Recipients", "deleted_recips"),
    (DETAIL, 6, "Global Unsub. Hits", "global_unsub_hits"),
)
RATES = (
    (2, "Receiving", None),
    (4, "Messages Received", "inj_msgs"),
    (4, "Recipients Received", "inj_recips"),
    (2, "Queue", None),
    (4, "Soft Bounced Events", "soft_bounced_evts"),
    (2, "Completion", None),
    (4, "Completed Recipients", "completed_recips"),
    (4, "Hard Bounced Recipients", "hard_bounced_recips"),
    (4, "Delivered Recipients", "delivered_recips"),
)
GAUGES = (
    (DETAIL, 2, "System", None),
    (DETAIL, 4, "RAM Utilization", "ram_utilization"),
    (DETAIL, 4, "CPU Utilization", None),
    (DETAIL, 6, "MGA", "cpu_utilization"),
    (DETAIL, 6, "AntiSpam", "case_utilization"),
    (DETAIL, 6, "AntiVirus", "av_utilization"),
    (DETAIL, 4, "Disk I/O Utilization", "disk_utilization"),
    (DETAIL, 4, "Resource Conservation", "resource_conservation"),
    (BOTH, 2, "Connections", None),
    (BOTH, 4, "Current Inbound Conn.", "conn_in"),
    (BOTH, 4, "Current Outbound Conn.", "conn_out"),
    (BOTH, 2, "Queue", None),
    (BOTH, 4, "Active Recipients", "active_recips"),
    (DETAIL, 6, "Unattempted Recipients", "unattempted_recips"),
    (DETAIL, 6, "Attempted Recipients", "attempted_recips"),
    (BOTH, 4, "Messages In Work Queue", "msgs_in_work_queue"),
    (BOTH, 4, "Messages In Quarantine", None),
    (BOTH, 6, "Policy, Virus and Outbreak", "msgs_in_policy_virus_outbreak_quarantine"),
    (DETAIL, 4, "Destinations In Memory", "dests_in_memory"),
    (BOTH, 4, "Kilobytes Used", "kbytes_used"),
    (BOTH, 4, "Kilobytes Free", "kbytes_free"),
)


def _head(label: str, value: str) -> str:
    return f"{label + ':':<{HEAD_WIDTH}}{value}"


def _row(label: str, *cells: str) -> str:
    """A label and cells that end at the right edges of their columns; "" leaves a column empty."""
    if not cells:
        return label
    first, *others = cells
    return f"{label}{first:>{FIRST_EDGE - len(label)}}{''.join(f'{cell:>{COLUMN_WIDTH}}' for cell in others)}"


def status_text(figures: Figures, timezone: str, *, detail: bool) -> str:
    """The whole display."""
    lines = [] if detail else ['Enter "status detail" for more information.', ""]
    lines += [
        _head("Status as of", long_date(figures.now, timezone)),
        _head("Up since", f"{long_date(figures.started, timezone)} ({span(figures.up_time)})"),
        _head("Last counter reset", long_date(figures.last_reset, timezone) if figures.last_reset else "Never"),
        _head("System status", figures.system_status),
        _head("Oldest Message", age(figures.oldest.age) if figures.oldest else "No Messages"),
    ]
    if detail:
        lines.append("Feature - Incoming Mail Handling: Perpetual")
    blocks = [lines, list(_counters(figures, detail))]
    if detail:
        blocks.append(list(_rates(figures)))
    blocks.append(list(_gauges(figures, detail)))
    return "\n\n".join("\n".join(block) for block in blocks)


def _counters(figures: Figures, detail: bool) -> Iterator[str]:
    yield _row("Counters:", "Reset", "Uptime", "Lifetime")
    for only_detail, indentation, label, name in COUNTERS:
        if detail or not only_detail:
            columns = figures.counters[name] if name else None
            yield _row(" " * indentation + label, *_numbers((columns.reset, columns.uptime, columns.lifetime) if columns else ()))
    yield "  Current IDs"
    for label, following in (
        ("Message ID (MID)", figures.message_id),
        ("Injection Conn. ID (ICID)", figures.injection_conn_id),
        ("Delivery Conn. ID (DCID)", figures.delivery_conn_id),
    ):
        yield _row(f"    {label}", "", "", f"{following - 1:,}")


def _rates(figures: Figures) -> Iterator[str]:
    yield _row("Rates (Events Per Hour):", "1-Minute", "5-Minutes", "15-Minutes")
    for indentation, label, name in RATES:
        rates = figures.rates[name] if name else None
        yield _row(" " * indentation + label, *_numbers((rates.minute, rates.five_minutes, rates.fifteen_minutes) if rates else ()))


def _gauges(figures: Figures, detail: bool) -> Iterator[str]:
    yield _row("Gauges:", "Current")
    for only_detail, indentation, label, name in GAUGES:
        if detail or not only_detail:
            cells = [f"{figures.gauges.get(name, 0):,}{'%' if name.endswith('_utilization') else ''}"] if name else []
            yield _row(" " * indentation + label, *cells)


def _numbers(values: Iterable[int]) -> list[str]:
    return [f"{value:,}" for value in values]


def _load_since_start() -> ProcessLoad:
    """Processor load on the average of the life of this process."""
    started = int(Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return ProcessLoad(at=time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - started), used=0.0)


async def _show(talk: Conversation, session: Session, *, detail: bool) -> None:
    appliance = session.appliance
    figures = await collect(appliance, _load_since_start())
    await talk.page(status_text(figures, appliance.running()[1].system.timezone, detail=detail))


async def status(talk: Conversation, session: Session) -> None:
    await _show(talk, session, detail=False)


async def _status_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    args.operation("detail")
    args.end()
    await _show(talk, session, detail=True)


async def resetcounters(talk: Conversation, session: Session) -> None:
    """The Reset column begins at 0 again, at once."""
    appliance = session.appliance
    appliance.counters.reset()
    talk.show(f"Counters reset: {short_date(appliance.clock.now(), appliance.running()[1].system.timezone)}")


COMMANDS = (
    Command("status", "System status.", dialog=status, batch=_status_batch, usage="status detail"),
    Command("resetcounters", "Reset all of the counters in the system.", dialog=resetcounters),
)
