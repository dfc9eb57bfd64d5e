"""Trust anchors: the keys of the root zone from which validation starts (RFC 4033 2, RFC 7958).

Built in are both keys of the root zone that are published. A laboratory gives its own in a file of DS or DNSKEY records.
"""

from __future__ import annotations

from typing import cast

import dns.exception
import dns.name
import dns.zonefile
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS

Anchor = DS | DNSKEY

ROOT_KEYS = """\
. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
. IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
"""


def parse_anchors(text: str) -> tuple[Anchor, ...]:
    """DS and DNSKEY records of the root in master-file form. Errors: ValueError with the reason."""
    try:
        rrsets = dns.zonefile.read_rrsets(text, name=None, rdclass=None, origin=dns.name.root, default_ttl=0)
    except dns.exception.DNSException as error:
        raise ValueError(str(error)) from None
    for rrset in rrsets:
        if rrset.name != dns.name.root or rrset.rdtype not in (RdataType.DS, RdataType.DNSKEY):
            raise ValueError(f"{rrset.name} {rrset.rdtype.name} is no DS or DNSKEY record of the root zone")
    anchors = tuple(cast(Anchor, record) for rrset in rrsets for record in rrset)
    if not anchors:
        raise ValueError("there is no DS or DNSKEY record in it")
    return anchors
