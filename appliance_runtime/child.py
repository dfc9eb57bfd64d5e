"""A process of its own for work that would stop the event loop: it gets one request on standard input and answers on standard output.

Or it works for as long as the appliance does, and standard input is a socket for both directions.
It runs `main()` of a module of the product with the appliance's import path and without its environment variables, in a
session of its own, so that no signal of a terminal reaches it (`child_process`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

PARTING = 2.0
"""seconds for a process that has nothing left to do"""
_PROGRAM = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from appliance_runtime.child_process import run; run(*sys.argv[2:])"


@asynccontextmanager
async def child(
    module: str,
    *,
    cpu_seconds: int = resource.RLIM_INFINITY,
    memory: int = resource.RLIM_INFINITY,
    line_limit: int = 65536,
    channel: socket.socket | None = None,
    keep: Sequence[int] = (),
) -> AsyncIterator[Process]:
    """A running process. `memory`: octets of address space; `line_limit`: octets that one line of its output may have.

    At the end its input is closed; one that does not end then, and any whose work was given up, is killed. `channel`: its input
    is this socket, which the caller closes here, and whose other side the caller closes when the process is to end. `keep`: descriptors
    that are open in it too.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCOS_SHELL_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", _PROGRAM, json.dumps(sys.path), module, str(cpu_seconds), str(memory),
        stdin=channel.fileno() if channel else PIPE, stdout=DEVNULL if channel else PIPE, stderr=DEVNULL,
        env=environment, start_new_session=True, limit=line_limit, pass_fds=keep,
    )  # fmt: skip
    try:
        yield process
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PARTING):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
