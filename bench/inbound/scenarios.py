"""What is measured, and the ratios to Postfix that must be reached."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Mode = Literal["single", "reuse"]
Certificate = Literal["", "rsa", "p256"]

KIB = 1024


@frozen(kw_only=True)
class Scenario:
    """`single`: one connection (with TLS: one full handshake) for each message. `bound`: least ratio; None = only shown."""

    size: int = 4 * KIB
    mode: Mode
    certificate: Certificate = ""
    connections: int = 20
    bound: float | None = None
    cpu_bound: float | None = None
    """most milliseconds of server time for each message"""

    @property
    def name(self) -> str:
        transport = {"": "plain", "rsa": "STARTTLS RSA-2048", "p256": "STARTTLS P-256"}[self.certificate]
        return f"{self.size // KIB} KiB, {self.mode}, {transport}, {self.connections} connections"


SCENARIOS = (
    Scenario(mode="single", bound=3, cpu_bound=0.6),
    Scenario(mode="reuse", bound=5),
    Scenario(mode="single", connections=100, bound=3),
    Scenario(mode="reuse", connections=100, bound=5),
    Scenario(size=64 * KIB, mode="single", bound=2.5),
    Scenario(size=64 * KIB, mode="reuse", bound=2.5),
    Scenario(mode="single", certificate="rsa", bound=1.6),
    Scenario(mode="reuse", certificate="rsa", bound=4),
    Scenario(mode="single", certificate="rsa", connections=100),
    Scenario(mode="single", certificate="p256"),
    Scenario(mode="reuse", certificate="p256", bound=4),
    Scenario(size=64 * KIB, mode="reuse", certificate="p256"),
)
QUICK = tuple(s for s in SCENARIOS if s.bound is not None and s.connections == 20 and s.certificate != "p256")
