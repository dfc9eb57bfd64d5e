"""Accepting with a long queue against accepting with an empty one: `python -m bench.inbound.long_queue [MESSAGES]`.

Both appliances run at once and are driven in turn. The queue is filled before the start, so the message count is exact; it
is measured once everything has been taken over. Ends with status 1 when less than 80 % of the rate is left.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from appliance_runtime.clock import SystemClock
from appliance_runtime.queue.message_queue import MessageQueue, NewMessage
from bench.inbound.appliance import appliance, status_number
from bench.inbound.certificates import make_certificates
from bench.inbound.driver import compile_driver, drive
from bench.inbound.report import machine
from bench.inbound.scenarios import Scenario
from bench.inbound.servers import silent_destination

BOUND = 0.8
ROUNDS = 5
SECONDS = 2.0
AT_ONCE = 100
TAKEOVER_LIMIT = 120.0
BODY = b"Subject: waiting\r\n\r\n" + b"0123456789012345678901234567890\r\n" * 120


async def fill(directory: Path, count: int) -> None:
    """A queue with `count` messages of 4 KiB to 100 domains."""
    clock = SystemClock()
    queue = await MessageQueue.open(directory, clock)

    async def accept(number: int) -> None:
        body = queue.new_body()
        body.write(BODY)
        await queue.accept(
            NewMessage(
                mid=queue.next_mid(),
                sender="sender@client.test",
                recipients=(f"joe@d{number}.bench.test",),
                body=body,
                received=clock.now(),
                listener="rsa",
                bounce_profile="Default",
                direction="inbound",
                icid=queue.next_icid(),
            )
        )

    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(accept(number) for number in range(AT_ONCE)))
    await queue.close()


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"{machine()}\n{ROUNDS} interleaved rounds of {SECONDS:g} s", flush=True)
    with tempfile.TemporaryDirectory() as folder, silent_destination() as silent:
        root = Path(folder)
        driver = compile_driver(root)
        make_certificates(root)
        asyncio.run(fill(root / "queue", count))
        with appliance(root, silent) as empty, appliance(root, silent, queue=root / "queue") as full:
            end = time.monotonic() + TAKEOVER_LIMIT
            while (known := status_number(full, "Active Recipients")) < count:
                if time.monotonic() > end:
                    raise SystemExit(f"only {known} of {count} messages have been taken over")
                time.sleep(0.2)
            worst = 1.0
            for scenario in (Scenario(mode="single"), Scenario(mode="reuse")):
                ratios = []
                for _ in range(ROUNDS):
                    rates = [drive(driver, server.ports[""], scenario, 0.5, SECONDS).rate for server in (empty, full)]
                    ratios.append(rates[1] / rates[0])
                worst = min(worst, statistics.median(ratios))
                print(
                    f"{scenario.name}: {statistics.median(ratios):.2f} of the rate with {count} queued messages ({min(ratios):.2f}–{max(ratios):.2f})"
                )
    return 0 if worst >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
