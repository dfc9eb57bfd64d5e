"""The figures of all runs, and what is made of them: medians, ratios, tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from attrs import frozen

from bench.outbound.scenarios import Scenario

HEAD = "| scenario | Postfix/s | here/s | ratio (min–max) | bound | CPU ms Postfix | CPU ms here | messages per connection, both |"


@frozen(kw_only=True)
class Run:
    """`rate`: messages per second; `cpu_ms`: server time for each message; `reuse`: messages per connection to the sink."""

    rate: float
    cpu_ms: float
    reuse: float


@frozen
class Comparison:
    """The runs of one scenario, in pairs that followed each other."""

    scenario: Scenario
    postfix: Sequence[Run]
    here: Sequence[Run]

    @property
    def ratios(self) -> list[float]:
        return [ours.rate / theirs.rate for ours, theirs in zip(self.here, self.postfix, strict=True)]

    @property
    def reached(self) -> bool:
        scenario = self.scenario
        return (scenario.bound is None or statistics.median(self.ratios) >= scenario.bound) and (
            scenario.cpu_bound is None or statistics.median(run.cpu_ms for run in self.here) <= scenario.cpu_bound
        )

    def row(self) -> str:
        ratios, scenario = self.ratios, self.scenario
        bound = "" if scenario.bound is None else f"{scenario.bound:g}x"
        if scenario.cpu_bound is not None:
            bound += f", {scenario.cpu_bound:g} ms"
        if bound:
            bound += " ok" if self.reached else " MISSED"
        cells = (
            scenario.name,
            f"{statistics.median(run.rate for run in self.postfix):.0f}",
            f"{statistics.median(run.rate for run in self.here):.0f}",
            f"**{statistics.median(ratios):.1f}x** ({min(ratios):.1f}–{max(ratios):.1f})",
            bound,
            f"{statistics.median(run.cpu_ms for run in self.postfix):.2f}",
            f"{statistics.median(run.cpu_ms for run in self.here):.2f}",
            "/".join(f"{statistics.median(run.reuse for run in runs):.0f}" for runs in (self.postfix, self.here)),
        )
        return f"| {' | '.join(cells)} |"
