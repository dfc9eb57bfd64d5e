"""What the certificates of the services are, in a sentence: on top of certconfig, and at login (certconfig.md 2, conventions.md 2)."""

from __future__ import annotations

import textwrap

from appliance_state.certificates.usage import PURPOSES, demo_purposes, serves_alone
from appliance_state.model import Config

__all__ = ["banner", "demo_purposes", "demo_warning"]

_WIDTH = 77


def banner(config: Config) -> str:
    """The status block of certconfig."""
    if purposes := demo_purposes(config):
        return _wrapped(
            f"Currently using the demo certificate/key for {_listed(purposes)}. Cisco recommends using a CA trusted certificate."
        )
    what = "one certificate/key" if serves_alone(config) else "different certificates/keys"
    return _wrapped(f"Currently using {what} for {_listed(list(PURPOSES.values()))}.")


def demo_warning(config: Config) -> str | None:
    """The warning at login; None = the demo certificate serves for nothing."""
    purposes = demo_purposes(config)
    if not purposes:
        return None
    return (
        _wrapped(f"You are currently using a demo certificate/key for {_listed(purposes)}.")
        + "\nCisco recommends using a CA trusted certificate.\nUse the certconfig CLI command to import the certificate."
    )


def _listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b, and c`."""
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])}, and {words[-1]}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
