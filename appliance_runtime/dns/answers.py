"""What a look-up yields: records that exist, proof that there are none, or no answer at all."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import dns.rdata
from attrs import frozen

Absence = Literal["", "NXDomain", "NoData"]
Failure = Literal["ServFail", "Refused", "Timeout"]


class LookupFailed(Exception):
    """No usable answer: to be tried again later. The text is the line of the mail log."""

    def __init__(self, name: str, kind: str, failure: Failure) -> None:
        super().__init__(f"DNS Temporary Failure {name} {kind} - {failure}")
        self.name = name
        self.kind = kind
        self.failure: Failure = failure


@frozen(kw_only=True)
class Answer:
    """`absence` empty = there are records. `name`: owner of the records, behind all aliases. `expires`: on the appliance clock."""

    name: str
    records: tuple[dns.rdata.Rdata, ...] = ()
    absence: Absence = ""
    expires: datetime


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

    @property
    def null(self) -> bool:
        """The domain accepts no mail."""
        return len(self.exchangers) == 1 and not self.exchangers[0].host


@frozen(kw_only=True)
class AddressAnswer:
    """`addresses` in the order of the preference asked for; empty with the reason in `absence`."""

    addresses: tuple[str, ...] = ()
    absence: Absence = ""


@frozen(kw_only=True)
class Reverse:
    """`name`: first name of the reverse look-up; `verified`: one of its addresses is the address looked up;
    `failed`: no answer, or none in time."""

    name: str | None = None
    verified: bool = False
    failed: bool = False
