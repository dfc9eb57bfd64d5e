"""Whether the certificate of an https server is the one of its host (RFC 9110 4.3.4; tls-tools.md 5). Pure.

The host must be among the alternative names, a DNS name as DNS name and an address as address; common names do not count
(RFC 9525 2). Chain and optional checks are those of outgoing mail.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime

from appliance_runtime.delivery.peer_names import is_address, matches
from appliance_runtime.delivery.verify import Rules, TrustAnchors, check_certificate
from appliance_state.certificates.names import names_of, shown
from appliance_state.certificates.pem import load_der


def https_problem(chain: Sequence[bytes], host: str, anchors: TrustAnchors, rules: Rules, now: datetime) -> str | None:
    """What is wrong with what a server sent (DER, its own certificate first); None = nothing. CPU work."""
    checked = check_certificate(chain, anchors, rules, now)
    if not checked.ok:
        return checked.text
    names = names_of(load_der(chain[0]))
    if is_address(host):
        found = f"IP:{ipaddress.ip_address(host)}" in names.other_names
    else:
        found = any(matches(name, host) for name in names.dns_names)
    if found:
        return None
    presented = ", ".join(shown(name) for name in (*names.dns_names, *names.other_names)) or "no name"
    return f"hostname mismatch (expected {shown(host)}; presented {presented})"
