"""What the certificates of the services are, in sentences: on top of certconfig, at login and on the first page (certconfig.md 2,
conventions.md 2). The one place of their words.
"""

from __future__ import annotations

import textwrap

from appliance_state.certificates.usage import PURPOSES, demo_purposes, serves_alone
from appliance_state.model import Config

RECOMMENDATION = "Cisco recommends using a CA trusted certificate."
REMEDY = "Use the certconfig CLI command to import the certificate."
_WIDTH = 77


def banner(config: Config) -> str:
    """The status block of certconfig."""
    if purposes := demo_purposes(config):
        return _wrapped(f"Currently using the demo certificate/key for {_listed(purposes)}. {RECOMMENDATION}")
    what = "one certificate/key" if serves_alone(config) else "different certificates/keys"
    return _wrapped(f"Currently using {what} for {_listed(list(PURPOSES.values()))}.")


def demo_sentences(config: Config) -> tuple[str, ...]:
    """The warning about the demo certificate, a sentence each; empty = it serves for nothing."""
    purposes = demo_purposes(config)
    if not purposes:
        return ()
    return f"You are currently using a demo certificate/key for {_listed(purposes)}.", RECOMMENDATION, REMEDY


def demo_warning(config: Config) -> str:
    """The sentences for a terminal, each beginning a line."""
    return "\n".join(map(_wrapped, demo_sentences(config)))


def _listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b, and c`."""
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])}, and {words[-1]}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
