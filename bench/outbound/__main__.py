"""Runs the benchmark: `python -m bench.outbound [--quick] [--rounds N] [--only TEXT] [--workers N]`, from the root of the repository.

Runs of Postfix and of the appliance alternate, each with a fresh instance and a fresh sink; the ratio is taken within a round,
and the median of the rounds counts. Ends with status 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench.inbound.certificates import make_certificates
from bench.inbound.report import machine
from bench.outbound import queues
from bench.outbound.appliance import Appliance
from bench.outbound.postfix import Postfix
from bench.outbound.report import HEAD, Comparison, Run
from bench.outbound.scenarios import KIB, QUICK, SCENARIOS, Scenario
from bench.outbound.servers import Server, certificate_of, send
from bench.outbound.sink import SinkFailed, compile_sink, sink

MESSAGES = {"Postfix": 3000, "appliance": 8000}
"""for each run, so that each takes some seconds"""
LARGE = 4
"""divides them for large messages"""
WARM_UP = 100
"""messages that are relayed before a measurement, so that what a server does only once is not measured"""


def measure(server: Server, scenario: Scenario, program: Path, certificates: Path, messages: int = 0) -> Run:
    """`messages`: 0 = the usual number; else delivery counts from the start of the server. Errors: SinkFailed."""
    whole = bool(messages)
    messages = messages or MESSAGES[server.name] // (LARGE if scenario.size > 4 * KIB else 1)
    before = WARM_UP if scenario.kind == "relay" else 0
    with sink(program, before + messages, certificate_of(certificates, scenario)) as target:
        if scenario.kind == "deliver":
            with server.full(scenario, target.port, messages) as running:
                start = time.monotonic()
                target.wait_first()
                used = 0.0 if whole else running.cpu()
                taken = target.wait_all()
                used = running.cpu() - used
            seconds = time.monotonic() - start if whole else taken.seconds
        else:
            with server.empty(scenario, target.port) as running:
                send(scenario, running.port, WARM_UP)
                running.settle()
                used, start = running.cpu(), time.monotonic()
                send(scenario, running.port, messages)
                target.wait_first()
                taken = target.wait_all()
                seconds = time.monotonic() - start
                used = running.cpu() - used
    if scenario.tls and taken.encrypted != taken.connections:
        raise SinkFailed(f"{server.name} delivered in clear text")
    return Run(rate=messages / seconds, cpu_ms=used / messages * 1000, reuse=(before + messages) / taken.connections)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.outbound", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the scenarios with a bound only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="TEXT", help="the scenarios whose name holds TEXT")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="have the appliance receive in N further processes")
    given = parser.parse_args()
    scenarios = [one for one in (QUICK if given.quick else SCENARIOS) if given.only in one.name]
    print(
        f"{machine()}\n{given.rounds} interleaved rounds; workers of the appliance: {given.workers}\n\n{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}",
        flush=True,
    )
    theirs, ours = Postfix(), Appliance(workers=given.workers)
    missed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            program = compile_sink(folder)
            make_certificates(folder)
            for scenario in scenarios:
                runs = [(measure(theirs, scenario, program, folder), measure(ours, scenario, program, folder)) for _ in range(given.rounds)]
                comparison = Comparison(scenario, [pair[0] for pair in runs], [pair[1] for pair in runs])
                print(comparison.row(), flush=True)
                missed |= not comparison.reached
            print(f"\n{queues.HEAD}\n|{'---|' * (queues.HEAD.count('|') - 1)}", flush=True)
            for one in queues.comparisons():
                if given.only in one.name:
                    row, kept = queues.compare(
                        one, lambda server, scenario, messages: measure(server, scenario, program, folder, messages), given.rounds
                    )
                    print(row, flush=True)
                    missed |= not kept
        except SinkFailed as error:
            print(error, file=sys.stderr)
            return 2
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
