"""Whether content may be sent on as it came: said only when it is so, and said when it is."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.delivery.transaction import dot_stuffed
from appliance_runtime.queue.body import has_pairs_only, is_verbatim
from appliance_runtime.smtp.message_data import Content, MessageData
from appliance_state.model.listeners import CleanSmtp

CONTENT = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"a", b"S: x\r\n"])).map(b"".join)


def received(sent: bytes, cuts: list[int], clean: CleanSmtp) -> tuple[bytes, bool]:
    data = MessageData(clean=clean, max_size=10_000, max_header_lines=1000)
    content, rest, at = b"", None, 0
    for cut in [*sorted(cuts), len(sent)]:
        pieces, rest = data.feed(sent[at:cut])
        content += b"".join(piece.data for piece in pieces if isinstance(piece, Content))
        at = max(at, cut)
        if rest is not None:
            break
    assert rest is not None
    return content, data.verbatim


@given(CONTENT, st.lists(st.integers(0, 60), max_size=4), st.sampled_from([CleanSmtp.FIX, CleanSmtp.ALLOW]))
def test_never_said_of_what_needs_more_than_the_final_dot(content: bytes, cuts: list[int], clean: CleanSmtp) -> None:
    kept, verbatim = received(content + b"\r\n.\r\n", [min(cut, len(content)) for cut in cuts], clean)
    if verbatim:
        assert is_verbatim(kept)
        assert dot_stuffed(kept) == kept + b".\r\n"


@given(st.lists(st.sampled_from([b"Subject: x", b"", b"text", b"a.b"]), min_size=1), st.lists(st.integers(0, 60), max_size=4))
def test_said_of_ordinary_mail(lines: list[bytes], cuts: list[int]) -> None:
    sent = b"\r\n".join(lines) + b"\r\n"
    kept, verbatim = received(sent + b".\r\n", [min(cut, len(sent)) for cut in cuts], CleanSmtp.FIX)
    assert (kept, verbatim) == (sent, True)


@given(CONTENT)
def test_the_check(content: bytes) -> None:
    assert is_verbatim(content) == (dot_stuffed(content) == content + b".\r\n")


def test_a_cr_or_lf_that_stands_alone_is_found_wherever_it_is() -> None:
    for length in range(7):
        for octets in map(bytes, product(b"\r\na\x85", repeat=length)):
            without = octets.replace(b"\r\n", b"")
            assert has_pairs_only(octets) is (b"\r" not in without and b"\n" not in without), octets
