"""`asyncos-shell serve`: the appliance until SIGTERM or SIGINT (labs-and-ci.md 2.1, 2.2)."""

from __future__ import annotations

import asyncio
import gc
import os
import signal

from appliance_runtime.options import StartOptions
from asyncos_shell.ready import document
from asyncos_shell.running import Running


async def serve(options: StartOptions) -> int:
    """The exit status. Errors: Locked, StartFailed."""
    running = await Running.start(options)
    # What is there now stays, so looking through it again and again for garbage is a waste; and mail makes little of it.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    loop = asyncio.get_running_loop()
    asked = running.appliance.shutdown_asked
    signals = 0

    def stop() -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(1)  # the second one: at once
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, running.appliance.logs.reopen)
    print(document(running.appliance, running.ssh), flush=True)
    await asked.wait()
    await running.stop()
    return 0
