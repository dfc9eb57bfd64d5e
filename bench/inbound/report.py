"""The figures of all runs, and what is made of them: medians, ratios, tables."""

from __future__ import annotations

import os
import platform
import ssl
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from bench.inbound.driver import Load
from bench.inbound.scenarios import Scenario

HEAD = "| scenario | Postfix/s | here/s | ratio (min–max) | bound | CPU ms Postfix | CPU ms here | CPU ratio | p50/p99 ms Postfix | p50/p99 ms here |"


@frozen
class Run:
    """One run of the driver against one server. `cpu_ms`: server time for each accepted message."""

    load: Load
    cpu_ms: float


@frozen
class Comparison:
    """The runs of one scenario, in pairs that followed each other."""

    scenario: Scenario
    postfix: Sequence[Run]
    here: Sequence[Run]

    @property
    def ratios(self) -> list[float]:
        return [ours.load.rate / theirs.load.rate for ours, theirs in zip(self.here, self.postfix, strict=True)]

    @property
    def reached(self) -> bool:
        scenario = self.scenario
        return not (
            (scenario.bound is not None and statistics.median(self.ratios) < scenario.bound)
            or (scenario.cpu_bound is not None and _median_cpu(self.here) > scenario.cpu_bound)
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
            f"{_median_rate(self.postfix):.0f}",
            f"{_median_rate(self.here):.0f}",
            f"**{statistics.median(ratios):.1f}x** ({min(ratios):.1f}–{max(ratios):.1f})",
            bound,
            f"{_median_cpu(self.postfix):.2f}",
            f"{_median_cpu(self.here):.2f}",
            f"{_median_cpu(self.postfix) / _median_cpu(self.here):.1f}",
            _latency(self.postfix),
            _latency(self.here),
        )
        return f"| {' | '.join(cells)} |"


def machine() -> str:
    """The facts without which the figures mean nothing."""
    cpu = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?"
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024**2
    postfix = subprocess.run(["postconf", "-hd", "mail_version"], capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB; Linux {platform.release()}; "
        f"{platform.python_implementation()} {platform.python_version()}, {ssl.OPENSSL_VERSION}; Postfix {postfix}; load {os.getloadavg()[0]:.1f}"
    )


def _median_rate(runs: Sequence[Run]) -> float:
    return statistics.median(run.load.rate for run in runs)


def _median_cpu(runs: Sequence[Run]) -> float:
    return statistics.median(run.cpu_ms for run in runs)


def _latency(runs: Sequence[Run]) -> str:
    return f"{statistics.median(run.load.p50_ms for run in runs):.1f}/{statistics.median(run.load.p99_ms for run in runs):.1f}"
