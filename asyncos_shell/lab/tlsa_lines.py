"""TLSA records for certificates, as lines of a zone (RFC 6698 2.2; labs-and-ci.md 8, requirement R-244)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from appliance_runtime.delivery.tlsa import DANE_EE, PKIX_EE, selected

USAGES, SELECTORS, MATCHING_TYPES = range(4), range(2), range(3)
_PLACE = re.compile(r"\{\{\s*tlsa\s+([0-3])\s+([01])\s+([0-2])\s+(\S+?)\s*\}\}")


def record_data(chain: Sequence[bytes], usage: int, selector: int, matching_type: int) -> str:
    """The data of a record. `chain`: DER, server certificate first; usages 1 and 3 speak of it, 0 and 2 of the last one. Errors: ValueError."""
    certificate = chain[0] if usage in (PKIX_EE, DANE_EE) else chain[-1]
    return f"{usage} {selector} {matching_type} {selected(certificate, selector, matching_type).hex()}"


def filled(text: str, chains: Mapping[str, Sequence[bytes]]) -> str:
    """Zone text with `{{ tlsa 3 1 1 mx1 }}` replaced by the data for what the peer `mx1` sends. Errors: ValueError."""

    def data(place: re.Match[str]) -> str:
        usage, selector, matching_type, peer = place.groups()
        if peer not in chains:
            raise ValueError(f"{place[0]}: there is no peer {peer}")
        return record_data(chains[peer], int(usage), int(selector), int(matching_type))

    return _PLACE.sub(data, text)
