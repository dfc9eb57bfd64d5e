"""What is measured, and the ratios to Postfix that must be reached.

`deliver`: a filled queue is let go, measured from the first to the last message at the sink. `relay`: a client sends, measured
from its start to the last message at the sink. Reuse: both sides may send several messages over one connection, which is what
each does as it comes; single: one connection for each message, on the way in and out.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

KIB = 1024


@frozen(kw_only=True)
class Scenario:
    """`bound`: least ratio to Postfix; `cpu_bound`: most milliseconds of server time for each message; None = only shown."""

    kind: Literal["deliver", "relay"]
    reuse: bool
    tls: bool = False
    size: int = 4 * KIB
    bound: float | None = None
    cpu_bound: float | None = None

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.size // KIB} KiB, {'reuse' if self.reuse else 'single'}, {'STARTTLS' if self.tls else 'plain'}"


SCENARIOS = (
    Scenario(kind="relay", reuse=True, bound=3.5, cpu_bound=0.8),
    Scenario(kind="relay", reuse=False, bound=2.0, cpu_bound=0.8),
    Scenario(kind="relay", reuse=True, size=64 * KIB, bound=2.5),
    Scenario(kind="relay", reuse=False, size=64 * KIB),
    Scenario(kind="deliver", reuse=True),
    Scenario(kind="deliver", reuse=False),
    Scenario(kind="deliver", reuse=True, tls=True, bound=4.0),
    Scenario(kind="deliver", reuse=False, tls=True),
)
QUICK = tuple(scenario for scenario in SCENARIOS if scenario.bound is not None)
