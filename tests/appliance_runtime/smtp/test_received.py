"""Received field, Message-ID, Subject (listenerconfig.md 11)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.smtp.access import client_ip
from appliance_runtime.smtp.received import message_id, new_message_id, received_date, received_field, subject

NOW = datetime(2026, 3, 6, 9, 0, 0, 123456, tzinfo=UTC)
DATE = "Fri, 06 Mar 2026 09:00:00 +0000"


@pytest.mark.parametrize(
    ("hello", "client", "cipher", "field"),
    [
        ("c.test", "192.0.2.1", None, "from c.test ([192.0.2.1]) by h.test with ESMTP"),
        ("c.test", "2001:db8::1", None, "from c.test ([IPv6:2001:db8::1]) by h.test with ESMTP"),
        ("c.test", "192.0.2.1", ("TLSv1.3", "X"), "from c.test ([192.0.2.1]) by h.test with ESMTPS (using TLSv1.3 with cipher X)"),
        ("[192.0.2.1]", "192.0.2.1", None, "from [192.0.2.1] ([192.0.2.1]) by h.test with ESMTP"),
        ("a (b)\r;\udce9 c", "192.0.2.1", None, "from a??b??;??c ([192.0.2.1]) by h.test with ESMTP"),
        ("x" * 1000, "192.0.2.1", None, f"from {'x' * 255} ([192.0.2.1]) by h.test with ESMTP"),
    ],
)
def test_received_field(hello: str, client: str, cipher: tuple[str, str] | None, field: str) -> None:
    made = received_field(hello=hello, client=str(client_ip(client)), host="h.test", cipher=cipher, date=DATE)
    assert made == f"Received: {field}; {DATE}\r\n".encode()


def test_date_in_the_time_zone_of_the_appliance() -> None:
    assert received_date(NOW, ZoneInfo("GMT")) == DATE
    assert received_date(NOW, ZoneInfo("Asia/Tokyo")) == "Fri, 06 Mar 2026 18:00:00 +0900"


def test_new_message_id() -> None:
    assert new_message_id(214, "h.test", NOW) == "<20260306090000.214@h.test>"


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        (b"Message-ID: <1@a>\r\n", "<1@a>"),
        (b"A: b\r\nmessage-id:<1@a>  \r\nB: c\r\n", "<1@a>"),
        (b"Message-Id:\r\n <1@a>\r\n", "<1@a>"),
        (b"Message-ID:\r\n", ""),
        (b"Message-ID:\r\nSubject: x\r\n", ""),
        (b"X-Message-ID: <1@a>\r\n", None),
        (b"Subject: x\r\n Message-ID: <1@a>\r\n", None),
    ],
)
def test_message_id(fields: bytes, value: str | None) -> None:
    assert message_id(fields) == value


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (b"Subject: hello\r\n", "hello"),
        (b"Subject: a\r\n b\r\n\tc\r\n", "a b\tc"),
        (b"Subject:\r\n", ""),
        (b"From: x\r\n", None),
        (b"Subject: =?utf-8?B?44GT44KT44Gr44Gh44Gv?=\r\n", "こんにちは"),
        (b"Subject: =?utf-8?Q?a?=\r\n =?iso-8859-1?Q?=E9?= tail\r\n", "aé tail"),
        (b"Subject: =?nonsense?Q?=E9?=\r\n", "é"),
        (b"Subject: =?utf-8?B?!!!?=\r\n", None),
        (b"Subject: =?utf-8?Q?a=0D=0AInfo:_ICID_1?=\r\n", "a\r\nInfo: ICID 1"),
        ("Subject: grüß\r\n".encode(), "grüß"),
        (b"Subject: gr\xfc\r\n", "gr\udcfc"),
        (b"Subject: a\0b\x1b[0m\r\n", "a\0b\x1b[0m"),
    ],
)
def test_subject(fields: bytes, text: str | None) -> None:
    found = subject(fields)
    if text is None and fields.startswith(b"Subject"):
        assert isinstance(found, str), "whatever a broken word gives, it is text"
    else:
        assert found == text


HEADER = st.lists(
    st.sampled_from(
        [b"Subject", b"sUBJECT", b"Subjects", b"X-Subject", b":", b" ", b"\t", b"\r\n", b"\n", b"\r", b"a", b"\xe9", b"Subject: b\r\n"]
    ),
    max_size=14,
).map(b"".join)
FIRST = re.compile(rb"^subject[ \t]*:[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE)


@given(HEADER)
def test_the_first_field_of_a_name_is_found_where_a_search_line_by_line_finds_it(fields: bytes) -> None:
    match = FIRST.search(fields)
    value = None if match is None else re.sub(rb"\r?\n(?=[ \t])", b"", match[1]).strip().decode("utf-8", "surrogateescape")
    assert subject(fields) == value
