"""A session with an appliance of its own: started for it, ended with it (labs-and-ci.md 2)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

from appliance_runtime.options import StartOptions
from asyncos_shell.login import Entrance, local_entrance, serve_session
from asyncos_shell.running import Running
from asyncos_shell.terminals.plain_tty import plain_terminal
from asyncos_shell.terminals.stream import StreamTerminal

if TYPE_CHECKING:
    from asyncos_shell.shell import ShellTerminal

STDIN, STDOUT = 0, 1


def wants_rich(ui: str) -> bool:
    """Whether the terminal is drawn by the library. `auto`: where the screen is able to."""
    able = os.isatty(STDIN) and os.isatty(STDOUT)
    return able and (ui == "rich" or (ui == "auto" and os.environ.get("TERM", "") not in ("", "dumb")))


async def run(options: StartOptions, *, line: str | None, ui: str) -> int:
    """Start the appliance, run the session, stop the appliance; the exit status. Errors: Locked, StartFailed."""
    running = await Running.start(options)
    try:
        return await _session(running, line, ui)
    finally:
        sys.stdout.flush()
        await running.stop()


async def _session(running: Running, line: str | None, ui: str) -> int:
    tty = os.isatty(STDIN)
    entrance = local_entrance(keyboard=tty and line is None, line=line)
    if entrance.greets and wants_rich(ui):
        from asyncos_shell.terminals.rich import rich_terminal

        with rich_terminal() as rich:
            return await _serve(running, rich, entrance)
    if tty:
        with plain_terminal(STDIN, STDOUT, keyboard=entrance.greets) as plain:
            return await _serve_stream(running, plain, entrance)
    return await _serve_stream(running, StreamTerminal(STDIN, STDOUT), entrance)


async def _serve_stream(running: Running, terminal: StreamTerminal, entrance: Entrance) -> int:
    try:
        return await _serve(running, terminal, entrance)
    finally:
        await terminal.close()


async def _serve(running: Running, terminal: ShellTerminal, entrance: Entrance) -> int:
    """Run the session until it ends, or a signal or the command `shutdown` ends the program."""
    session = asyncio.ensure_future(serve_session(running.appliance, running.registry, terminal, entrance))
    loop = asyncio.get_running_loop()
    signals = {signal.SIGTERM, signal.SIGHUP} | (set() if entrance.greets else {signal.SIGINT})
    for number in signals:
        loop.add_signal_handler(number, session.cancel)
    asked = asyncio.ensure_future(running.appliance.shutdown_asked.wait())
    try:
        await asyncio.wait((session, asked), return_when=asyncio.FIRST_COMPLETED)
        if not session.done():
            running.say_goodbye()
            await asyncio.wait((session,))
    finally:
        asked.cancel()
        for number in signals:
            loop.remove_signal_handler(number)
    return 1 if session.cancelled() else session.result()
