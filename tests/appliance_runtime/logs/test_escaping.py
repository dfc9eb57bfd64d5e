"""Foreign text on one line (logs-and-alerts.md 1, rule 6)."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.logs.escaping import escape, field_text, quote
from appliance_runtime.logs.writer import event_text


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("plain", "plain"),
        ("Ünïcödé 日本", "Ünïcödé 日本"),
        ("a\r\nFri Mar  6 Info: fake", "a\\x0d\\x0aFri Mar  6 Info: fake"),
        ("\x1b[31mred\x00\x7f", "\\x1b[31mred\\x00\\x7f"),
        ("next\x85line\x9b", "next\\x85line\\x9b"),
        (b"caf\xe9 \xff", "caf\\xe9 \\xff"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\\xe9"),
        ("lone \ud800", "lone \\ud800"),
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1024 + "..."),
    ],
)
def test_escape(value: str | bytes, line: str) -> None:
    assert escape(value) == line


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_always_one_safe_line(value: str | bytes) -> None:
    line = escape(value)
    assert not any(ord(c) < 32 or 127 <= ord(c) <= 159 or 0xD800 <= ord(c) <= 0xDFFF for c in line)
    line.encode("utf-8")


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\"), max_size=50))
def test_quote_is_what_python_writes(value: str) -> None:
    assert quote(value) == repr(value)
    assert ast.literal_eval(quote(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        ([0, 1], "[0, 1]"),
        (("5.1.1 no such user",), "['5.1.1 no such user']"),
        (["it's", "two\x1b"], "[\"it's\", 'two\\x1b']"),
        (None, "None"),
    ],
)
def test_field_text(value: object, text: str) -> None:
    assert field_text(value) == text


VALUES = st.one_of(
    st.text(max_size=20),
    st.binary(max_size=20),
    st.integers(),
    st.booleans(),
    st.none(),
    st.lists(st.one_of(st.integers(), st.text(max_size=5), st.binary(max_size=5), st.booleans()), max_size=4),
    st.sampled_from(["x" * 1025, "y" * 600, "\udce9", "\r\n", "%s", "{mid}", [*range(1000)], ["z" * 2000], (0, 1)]),
)


@given(VALUES, VALUES, VALUES)
def test_each_field_of_a_line_is_escaped_and_cut_by_itself(mid: object, rids: object, response: object) -> None:
    line = event_text("mid.response", {"mid": mid, "rids": rids, "response": response, "unused": b"\0"})
    assert line == f"MID {field_text(mid)} RID {field_text(rids)} Response '{field_text(response)}'"
