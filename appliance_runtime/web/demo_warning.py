"""The warning after a login while the demo certificate is in use (conventions.md 2)."""

from __future__ import annotations

from appliance_state.certificates.usage import demo_purposes
from appliance_state.model import Config


def demo_warning(config: Config) -> str:
    """The text of the command line without its line breaks; empty when the demo certificate is not in use."""
    purposes = demo_purposes(config)
    if not purposes:
        return ""
    joined = " and ".join(purposes) if len(purposes) < 3 else f"{', '.join(purposes[:-1])}, and {purposes[-1]}"
    return (
        f"You are currently using a demo certificate/key for {joined}. Cisco recommends using a CA trusted certificate. "
        "Use the certconfig CLI command to import the certificate."
    )
