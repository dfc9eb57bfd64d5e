"""What a look-up yields: records that exist, proof that there are none, or no answer at all.

Every answer tells how far it can be trusted (`security`, RFC 4033 5) and whose records it holds behind all aliases
(`canonical_name`). Names are lower case, without trailing dot. An answer found bogus is never given out: it is a failure.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Literal

from attrs import frozen

if TYPE_CHECKING:
    import dns.rdata

Absence = Literal["", "NXDomain", "NoData"]
Failure = Literal["ServFail", "Refused", "Timeout"]
TlsaStatus = Literal["found", "nodata", "nxdomain", "servfail", "refused", "timeout", "bogus"]


class Security(Enum):
    """INSECURE: proven unsigned, or said so by the servers. INDETERMINATE: the status was not asked for."""

    SECURE = "secure"
    INSECURE = "insecure"
    BOGUS = "bogus"
    INDETERMINATE = "indeterminate"


_WEAKEST_FIRST = (Security.BOGUS, Security.INDETERMINATE, Security.INSECURE, Security.SECURE)


def weakest(*links: Security) -> Security:
    """A chain is as secure as its weakest link; an empty one is secure."""
    return min(links, key=_WEAKEST_FIRST.index, default=Security.SECURE)


class LookupFailed(Exception):
    """No usable answer: to be tried again later. The text is the line of the mail log.

    `security` BOGUS: there is an answer, but it is not what its zone has signed; `reason` says in what.
    """

    def __init__(self, name: str, kind: str, failure: Failure, *, security: Security = Security.INDETERMINATE, reason: str = "") -> None:
        super().__init__(f"DNS Temporary Failure {name} {kind} - {failure}")
        self.name = name
        self.kind = kind
        self.failure: Failure = failure
        self.security = security
        self.reason = reason

    @property
    def bogus(self) -> bool:
        return self.security is Security.BOGUS


@frozen(kw_only=True)
class Answer:
    """`absence` empty = there are records. `expires`: on the appliance clock.

    `alias`: security of the alias record of the name that was asked for itself; None = it is no alias.
    """

    canonical_name: str
    records: tuple[dns.rdata.Rdata, ...] = ()
    absence: Absence = ""
    expires: datetime
    security: Security = Security.INDETERMINATE
    alias: Security | None = None


@frozen(kw_only=True)
class MailExchanger:
    preference: int
    host: str
    """lower case, without trailing dot; empty for the null MX of RFC 7505"""


@frozen(kw_only=True)
class MxAnswer:
    exchangers: tuple[MailExchanger, ...] = ()
    """by preference; equal ones in the order of the answer"""
    absence: Absence = ""
    expires: datetime
    security: Security = Security.INDETERMINATE
    canonical_name: str

    @property
    def null(self) -> bool:
        """The domain accepts no mail."""
        return len(self.exchangers) == 1 and not self.exchangers[0].host


@frozen(kw_only=True)
class AddressAnswer:
    """`addresses` in the order of the preference asked for; empty with the reason in `absence`.

    `security` SECURE: at least one family is, and `secure_addresses` are the addresses of such families; DANE uses no others.
    `alias`: security of the host's own alias record, wherever it leads; None = the host is no alias (RFC 7672 2.1.1).
    """

    addresses: tuple[str, ...] = ()
    absence: Absence = ""
    security: Security = Security.INDETERMINATE
    secure_addresses: tuple[str, ...] = ()
    canonical_name: str = ""
    alias: Security | None = None


@frozen(kw_only=True)
class Tlsa:
    """A TLSA record as published (RFC 6698 2.1), usable or not."""

    usage: int
    selector: int
    matching_type: int
    data: bytes


@frozen(kw_only=True)
class TlsaAnswer:
    """`records` only with `status` found. `reason`: of a status that is a failure, in one short line."""

    status: TlsaStatus
    records: tuple[Tlsa, ...] = ()
    security: Security
    canonical_name: str
    reason: str = ""


@frozen(kw_only=True)
class Reverse:
    """`name`: first name of the reverse look-up; `verified`: one of its addresses is the address looked up;
    `failed`: no answer, or none in time."""

    name: str | None = None
    verified: bool = False
    failed: bool = False
