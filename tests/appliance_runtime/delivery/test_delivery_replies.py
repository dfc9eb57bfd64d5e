"""Replies from octets: the short way for whole replies takes what the reader takes, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance_runtime.delivery.replies import Reply, ReplyReader, simple

PIECES = st.sampled_from(
    [
        b"250",
        b"220",
        b"354",
        b"421",
        b"550",
        b"099",
        b"600",
        b"25",
        b" ",
        b"-",
        b"\r\n",
        b"\n",
        b"\r",
        b"",
        b"ok",
        b"SIZE 5",
        b"\xff",
        b"\x00",
    ]
)


def read(octets: bytes) -> tuple[Reply | None, bool]:
    """The first reply, and whether anything is left."""
    reader = ReplyReader()
    reader.feed(octets)
    return reader.next(), reader.pending


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"250 ok\r\n", Reply(250, ("ok",))),
        (b"250 \r\n", Reply(250, ("",))),
        (b"250-mx\r\n250-SIZE 5\r\n250 STARTTLS\r\n", Reply(250, ("mx", "SIZE 5", "STARTTLS"))),
        (b"250-\r\n550 caf\xe9\r\n", Reply(550, ("", "caf\udce9"))),
        (b"250-a\r\n" * 20 + b"250 b\r\n", Reply(250, ("a",) * 20 + ("b",))),
    ],
)
def test_whole_replies(octets: bytes, reply: Reply) -> None:
    assert simple(octets) == reply
    assert read(octets) == (reply, False)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"250",
        b"250 ok",
        b"250 ok\n",
        b"250-ok\r\n",
        b"250 ok\r\n250 ok\r\n",
        b"250 a\r\n250-b\r\n",
        b"250-a\r\n100 b\r\n",
        b"250-a\r\nb\r\n250 c\r\n",
    ],
)
def test_what_the_short_way_leaves_alone(octets: bytes) -> None:
    assert simple(octets) is None


@given(st.lists(PIECES, max_size=16).map(b"".join))
@example(b"250-a\r\n" * 21 + b"250 b\r\n")
@example(b"250-a\r\n" * 100 + b"250 b\r\n")
@example(b"250 " + b"x" * 2000 + b"\r\n")
def test_the_short_way_says_what_the_reader_says(octets: bytes) -> None:
    short = simple(octets)
    if short is not None:
        assert read(octets) == (short, False)
