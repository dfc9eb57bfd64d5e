"""Records that say nothing usable are still records: importing this makes the parser take TLSA data of any length.

A TLSA record whose data are not as long as its matching type wants is unusable by itself (RFC 6698 4.1). To the library
the whole message that holds one would be no message, and the good records beside it would be lost.
"""

from __future__ import annotations

from dns.rdtypes.tlsabase import TLSABase

TLSABase._cert_length_by_mtype = {}
