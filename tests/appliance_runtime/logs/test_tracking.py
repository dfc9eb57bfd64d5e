"""findevent: which lines belong to a message (operations.md 6.3), in logs with several messages, connections and bounces."""

from __future__ import annotations

import re

import pytest

from appliance_runtime.logs.tracking import Found, Part, find_messages, message_lines

LOG = """\
- Begin Logfile
47 New SMTP ICID 1 interface Management (192.0.2.1) address 127.0.0.1 reverse dns host unknown verified no
8 New SMTP ICID 2 interface Management (192.0.2.1) address 127.0.0.1 reverse dns host unknown verified no
47 ICID 1 ACCEPT SG None match ALL SBRS not enabled country not enabled
8 ICID 2 ACCEPT SG None match ALL SBRS not enabled country not enabled
47 ICID 1 TLS success protocol TLSv1.3 cipher TLS_AES_256_GCM_SHA384
4 Start MID 4 ICID 1
8 Start MID 8 ICID 2
4 MID 4 ICID 1 From: <ann@client.test>
4 MID 4 ICID 1 RID 0 To: <bob@partner.test>
8 MID 8 ICID 2 From: <carl@client.test>
4 MID 4 ICID 1 RID 1 To: <nobody@partner.test>
4 MID 4 Subject "Invoice"
8 MID 8 ICID 2 RID 0 To: <eve@slow.test>
4 MID 4 ready 421 bytes from <ann@client.test>
4 MID 4 queued for delivery
8 MID 8 Subject "MID 4 ICID 1 From: <trap@x.test>"
7 Start MID 7 ICID 1
7 MID 7 ICID 1 From: <ann@client.test>
7 MID 7 ICID 1 RID 0 To: <Bob@Partner.test>
7 MID 7 Subject "Re: Invoice"
8 ICID 2 lost
8 ICID 2 close
4 New SMTP DCID 11 interface 192.0.2.1 address 192.0.2.25 port 25
4 DCID 11 TLS success protocol TLSv1.3 cipher TLS_AES_256_GCM_SHA384
4 Delivery start DCID 11 MID 4 to RID [0, 1]
4 Message done DCID 11 MID 4 to RID [0]
4 Bounced: DCID 11 MID 4 to RID 1 - 5.1.1 - Bad destination mailbox address ('550', ['5.1.1 no such user']) []
45 MID 5 was generated for bounce of MID 4
5 Start MID 5 ICID 0
5 MID 5 ICID 0 From: <>
5 MID 5 ICID 0 RID 0 To: <ann@client.test>
5 MID 5 queued for delivery
4 Message finished MID 4 done
- ICID 9 close
7 Message aborted MID 7 Receiving aborted
7 Message finished MID 7 aborted
47 ICID 1 close
4 DCID 11 close
8 New SMTP DCID 12 interface 192.0.2.1 address 192.0.2.26 port 25
8 Connection Error: DCID 12 domain: slow.test IP: 192.0.2.26 port: 25 details: x interface: 192.0.2.1 reason: network error
8 DCID 12 IP 192.0.2.26 TLS was required but could not be successfully negotiated
- DCID 0 TLS DANE not used: insecure MX record
8 Delayed: DCID 12 MID 8 to RID 0 - 4.4.0 - Other network problem ('000', ['x']) []
8 Message 8 to RID [0] pending till Tue Nov 24 07:35:49 2026
- Message 88 to RID [0] pending till Tue Nov 24 07:35:49 2026
5 New SMTP DCID 13 interface 192.0.2.1 address 192.0.2.27 port 25
5 Delivery start DCID 13 MID 5 to RID [0]
5 Double bounce: MID 5 to 0 - 5.1.1 - Bad destination mailbox address 550-'no'
5 Possible Delivery: DCID: 13 MID 5 to [0]
8 MID 8 RID [0] discarded by SMTP route "/dev/null"
8 Deleted: MID 8 to [0]
"""
"""each line begins with the MIDs whose own line it is (4, 5, 7, 8), `-` for none; 5 is a bounce of 4"""

ROWS = [(row.partition(" ")[0], row.partition(" ")[2]) for row in LOG.splitlines()]
LINES = [f"Tue Jul 31 17:37:{number:02d} 2007 Info: {text}" for number, (_, text) in enumerate(ROWS)]


def belongs(*mids: int) -> list[str]:
    return [line for line, (owners, _) in zip(LINES, ROWS, strict=True) if set(owners) & {str(mid) for mid in mids}]


def story(*mids: int) -> list[list[str]]:
    return list(message_lines(lambda: LINES, mids))


@pytest.mark.parametrize(("mid", "with_bounces"), [(4, [4, 5]), (5, [5]), (7, [7]), (8, [8])])
def test_the_lines_of_a_message(mid: int, with_bounces: list[int]) -> None:
    assert story(mid) == [belongs(*with_bounces)]


def test_several_and_unknown_ones() -> None:
    assert story(8, 99, 7) == [belongs(8), [], belongs(7)]


@pytest.mark.parametrize(
    ("part", "pattern", "mids"),
    [
        ("from", "ann@", [4, 7]),
        ("from", "trap", []),
        ("from", "^$", [5]),
        ("to", "bob@partner", [4]),
        ("to", "(?i)bob@partner", [4, 7]),
        ("to", "nobody", [4]),
        ("subject", "Invoice", [4, 7]),
        ("subject", "^Invoice$", [4]),
        ("subject", "trap", [8]),
        ("to", "nowhere", []),
    ],
)
def test_messages_that_are_found(part: Part, pattern: str, mids: list[int]) -> None:
    assert [found.mid for found in find_messages(LINES, part, re.compile(pattern).search)] == mids


def test_a_found_message_has_its_date_and_subject() -> None:
    assert find_messages(LINES, "subject", re.compile("Re:").search) == [Found(7, "Tue Jul 31 17:37:17 2007", "Re: Invoice")]
