"""What a large queue costs: the appliance against itself, with and without it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from attrs import frozen

from bench.outbound.appliance import Appliance
from bench.outbound.report import Run
from bench.outbound.scenarios import Scenario
from bench.outbound.servers import DOMAIN, Server

HEAD = "| scenario | without: msg/s, CPU ms | with: msg/s, CPU ms | ratio | bound |"
FEW, MANY, DEAD = 10, 10_000, 50_000


@frozen(kw_only=True)
class Comparison:
    """`ratio`: of `cpu_ms` (how much more it costs) or of `rate` (how much of it is left), and its bound."""

    name: str
    scenario: Scenario
    without: Server
    within: Server
    messages: int
    costs: bool
    bound: float

    def row(self, runs: Sequence[tuple[Run, Run]]) -> tuple[str, bool]:
        """The line of the table, and whether the bound is kept."""
        if self.costs:
            ratio = statistics.median(within.cpu_ms / without.cpu_ms for without, within in runs)
            good, text = ratio <= self.bound, f"CPU <= {self.bound:g}x"
        else:
            ratio = statistics.median(within.rate / without.rate for without, within in runs)
            good, text = ratio >= self.bound, f">= {self.bound:.0%}"
        cells = [self.name]
        for side in zip(*runs, strict=True):
            cells.append(f"{statistics.median(run.rate for run in side):.0f}, {statistics.median(run.cpu_ms for run in side):.2f}")
        cells += [f"**{ratio:.2f}**", f"{text} {'ok' if good else 'MISSED'}"]
        return f"| {' | '.join(cells)} |", good


def comparisons() -> list[Comparison]:
    def spread(count: int) -> Appliance:
        return Appliance([f"d{number}.{DOMAIN}" for number in range(count)])

    return [
        Comparison(
            name=f"deliver, one message per connection, to {MANY:,} destinations instead of {FEW}",
            scenario=Scenario(kind="deliver", reuse=False),
            without=spread(FEW),
            within=spread(MANY),
            messages=MANY,
            costs=True,
            bound=1.1,
        ),
        Comparison(
            name=f"relay, reuse, while {DEAD:,} messages wait for a domain that always times out",
            scenario=Scenario(kind="relay", reuse=True),
            without=Appliance(),
            within=Appliance(dead=DEAD),
            messages=16_000,
            costs=False,
            bound=0.9,
        ),
    ]


Measure = Callable[[Server, Scenario, int], Run]


def compare(one: Comparison, measure: Measure, rounds: int) -> tuple[str, bool]:
    runs = [(measure(one.without, one.scenario, one.messages), measure(one.within, one.scenario, one.messages)) for _ in range(rounds)]
    return one.row(runs)
