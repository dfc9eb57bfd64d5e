"""`/xml/status`: the figures for machines, in the layout that existing readers expect (web-ui.md 13).

HTTP Basic, pre-emptive or not; any account may read. Each request is a login: failures count for the account. Order of
elements and attributes, line breaks and indentation are frozen.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

from starlette.responses import Response

from appliance_runtime.metrics import COUNTERS, RATES
from appliance_runtime.product import Product
from appliance_runtime.web.figures import Figures, collect, span
from appliance_runtime.web.login import authenticated
from appliance_runtime.web.visit import Visit

REALM = 'Basic realm="AsyncOS"'
GAUGES = (
    "ram_utilization", "total_utilization", "cpu_utilization", "av_utilization", "case_utilization", "bm_utilization",
    "disk_utilization", "resource_conservation", "log_used", "log_available", "conn_in", "conn_out", "active_recips",
    "unattempted_recips", "attempted_recips", "msgs_in_work_queue", "dests_in_memory", "kbytes_used", "kbytes_free",
    "msgs_in_policy_virus_outbreak_quarantine", "kbytes_in_policy_virus_outbreak_quarantine", "reporting_utilization",
    "quarantine_utilization",
)  # fmt: skip
GIBIBYTE = 1024**3


async def status(visit: Visit) -> Response:
    """`GET /xml/status`."""
    credentials = basic_credentials(visit.request.headers.get("authorization"))
    if credentials is None or not await authenticated(visit, *credentials):
        return Response("", 401, {"WWW-Authenticate": REALM})
    system = visit.config.system
    text = document(await collect(visit.appliance, visit.site.load), visit.appliance.product, system.hostname, system.timezone)
    # Response would add its own charset in another form.
    return Response(text.encode("iso-8859-1", "xmlcharrefreplace"), headers={"Content-Type": "text/xml; charset=iso-8859-1"})


def basic_credentials(header: str | None) -> tuple[str, str] | None:
    """User name and passphrase of an Authorization header; None when it has none that can be read."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, passphrase = base64.b64decode(token.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None
    return (user, passphrase) if colon else None


def document(figures: Figures, product: Product, hostname: str, timezone: str) -> str:
    """The XML text, LF line ends."""

    def stamp(moment: datetime) -> str:
        return moment.astimezone(ZoneInfo(timezone)).strftime("%Y%m%d%H%M%S")

    build = quoteattr(f"{product.model} {product.full_version}")
    oldest = figures.oldest
    lines = [
        '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>',
        "",
        f'<status build={build} hostname={quoteattr(hostname)} timestamp="{stamp(figures.now)}">',
        f'  <birth_time timestamp="{stamp(figures.started)} ({span(figures.up_time)})"/>',
        f'  <last_counter_reset timestamp="{stamp(figures.last_reset) if figures.last_reset else ""}"/>',
        f'  <system status="{figures.system_status.lower()}" />',
        f'  <oldest_message secs="{int(oldest.age.total_seconds()) if oldest else 0}" mid="{oldest.mid if oldest else 0}" />',
        "  <features>",
        '    <feature name="Incoming Mail Handling" time_remaining="Dormant/Perpetual" />',
        "  </features>",
        "  <counters>",
    ]
    for name in COUNTERS:
        counter = figures.counters[name]
        lines += [
            f'    <counter name="{name}"',
            f'        reset="{counter.reset}"',
            f'        uptime="{counter.uptime}"',
            f'        lifetime="{counter.lifetime}" />',
        ]
    lines += [
        "  </counters>",
        "  <current_ids",
        f'    message_id="{figures.message_id}"',
        f'    injection_conn_id="{figures.injection_conn_id}"',
        f'    delivery_conn_id="{figures.delivery_conn_id}" />',
        "  <rates>",
    ]
    for name in RATES:
        rate = figures.rates[name]
        lines += [
            f'    <rate name="{name}"',
            f'      last_1_min="{rate.minute}"',
            f'      last_5_min="{rate.five_minutes}"',
            f'      last_15_min="{rate.fifteen_minutes}" />',
        ]
    lines += ["  </rates>", "  <gauges>"]
    for name in GAUGES:
        current = f"{figures.log_available // GIBIBYTE}G" if name == "log_available" else figures.gauges.get(name, 0)
        lines.append(f'    <gauge name="{name}" current="{current}" />')
    return "\n".join([*lines, "  </gauges>", "</status>", ""])
