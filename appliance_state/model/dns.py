"""dns: name servers and the use of DNSSEC (model.md 3.3)."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from appliance_state.model.fields import Choice, number
from appliance_state.table import Table


class DnssecMode(Choice):
    VALIDATE = "validate", "Validate signatures on this appliance"
    TRUST_AD = "trust_ad", "Trust the validation of the DNS servers (AD flag)"
    OFF = "off", "Do not use DNSSEC"


@frozen(kw_only=True)
class DnsServer:
    KEY: ClassVar[str] = "address"

    address: str
    port: int = number(1, 65535, default=53)
    priority: int = number(0, 100, default=0)


@frozen(kw_only=True)
class AlternateServer:
    """The server that answers for `domain` in place of the general ones."""

    KEY: ClassVar[str] = "domain"

    domain: str
    address: str
    port: int = number(1, 65535, default=53)


@frozen(kw_only=True)
class Dns:
    servers: Table[DnsServer] = Table()
    alternates: Table[AlternateServer] = Table()
    dnssec_mode: DnssecMode = DnssecMode.VALIDATE
    interface: str = "Auto"
    ptr_timeout: int = number(0, 600, default=20)
    min_ttl: int = number(0, 86400, default=1800)
