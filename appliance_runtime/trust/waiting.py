"""Waiting for a moment of the appliance clock, or for something to change before it."""

from __future__ import annotations

import asyncio
from datetime import datetime

from appliance_runtime.clock import Clock


async def reached(clock: Clock, due: datetime | None, changed: asyncio.Event) -> bool:
    """Wait until `due` (None = for ever) or `changed`; whether it was `due`."""
    change = asyncio.ensure_future(changed.wait())
    sleep = asyncio.ensure_future(clock.sleep_until(due)) if due else None
    waits = {change, sleep} if sleep else {change}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return sleep is not None and sleep.done()
    finally:
        for wait in waits:
            wait.cancel()
