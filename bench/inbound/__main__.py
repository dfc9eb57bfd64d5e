"""Runs the benchmark: `python -m bench.inbound [--quick] [--rounds N] [--seconds S] [--only TEXT] [--workers N]`, from the root of the repository.

Each round drives Postfix and then the appliance with the same load; the ratio is taken within a round, and the median of
the rounds counts. Ends with status 1 when a bound is missed. What was accepted stays queued on both sides until a scenario
is over.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import get_args

from bench.inbound.appliance import appliance
from bench.inbound.certificates import make_certificates
from bench.inbound.driver import DriverFailed, compile_driver, drive
from bench.inbound.postfix import Held, postfix
from bench.inbound.report import HEAD, Comparison, Run, machine
from bench.inbound.scenarios import QUICK, SCENARIOS, Scenario
from bench.inbound.servers import Server, silent_destination

WARM_UP = 0.5
"""seconds before measuring begins"""


def measure(driver: Path, server: Server, scenario: Scenario, seconds: float) -> Run:
    before = server.cpu()
    load = drive(driver, server.ports[scenario.certificate], scenario, WARM_UP, seconds)
    return Run(load, (server.cpu() - before) * 1000 / load.accepted)


def compare(driver: Path, theirs: Server, ours: Server, scenario: Scenario, rounds: int, seconds: float) -> Comparison:
    theirs.empty()
    runs = [(measure(driver, theirs, scenario, seconds), measure(driver, ours, scenario, seconds)) for _ in range(rounds)]
    return Comparison(scenario, [pair[0] for pair in runs], [pair[1] for pair in runs])


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.inbound", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the scenarios with a bound only, one connection count, 2 s a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="measured in each run; default 3, with --quick 2")
    parser.add_argument("--only", default="", metavar="TEXT", help="the scenarios whose name begins with TEXT")
    parser.add_argument("--held", choices=get_args(Held), default="defer", help="how Postfix is kept from delivering (see postfix.py)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="have the appliance receive in N further processes")
    given = parser.parse_args()
    scenarios = [s for s in (QUICK if given.quick else SCENARIOS) if s.name.startswith(given.only)]
    seconds = given.seconds or (2.0 if given.quick else 3.0)
    print(
        f"{machine()}\n{given.rounds} interleaved rounds of {seconds:g} s; mail at Postfix is held by: {given.held}; workers of the appliance: {given.workers}\n\n{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}",
        flush=True,
    )
    missed = False
    with tempfile.TemporaryDirectory() as folder, silent_destination() as silent:
        root = Path(folder)
        try:
            driver = compile_driver(root)
            make_certificates(root)
            with postfix(root, silent, given.held) as theirs:
                for scenario in scenarios:
                    with appliance(root, silent, workers=given.workers) as ours:
                        comparison = compare(driver, theirs, ours, scenario, given.rounds, seconds)
                    print(comparison.row(), flush=True)
                    missed |= not comparison.reached
        except DriverFailed as error:
            print(error, file=sys.stderr)
            return 2
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
