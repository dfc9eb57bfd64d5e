"""A process that accepts and delivers messages until it is killed. Each line on standard output is a promise kept on disk.

`accepted MID SIZE`: `accept` has returned. `delivered MID`: `delivered` has returned. `number MID`: given, not stored.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from appliance_runtime.clock import SystemClock
from appliance_runtime.queue.message_queue import MessageQueue, NewMessage

LARGE_EVERY, MEDIUM_EVERY = 17, 5


async def main(folder: Path) -> None:
    clock = SystemClock()
    queue = await MessageQueue.open(folder, clock)

    async def client(number: int) -> None:
        while True:
            mid = queue.next_mid()
            print(f"number {mid}", flush=True)
            body = queue.new_body()
            body.write(f"{mid}\r\n".encode() * (40_000 if mid % LARGE_EVERY == 0 else 8_000 if mid % MEDIUM_EVERY == 0 else 50))
            await queue.accept(
                NewMessage(
                    mid=mid,
                    sender="a@example.com",
                    recipients=(f"b@d{number}.test", "c@e.test"),
                    body=body,
                    received=clock.now(),
                    listener="In",
                    bounce_profile="Default",
                    direction="inbound",
                    icid=queue.next_icid(),
                )
            )
            print(f"accepted {mid} {body.size}", flush=True)
            if mid % 3 == 0:
                queue.claim(mid, [0, 1])
                await queue.delivered(mid, [0])
                await queue.delivered(mid, [1])
                print(f"delivered {mid}", flush=True)

    await asyncio.gather(*(client(number) for number in range(8)))


asyncio.run(main(Path(sys.argv[1])))
