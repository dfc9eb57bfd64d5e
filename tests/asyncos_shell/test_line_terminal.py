"""Octets to lines and text to octets (conventions.md 1, 8, 14)."""

from __future__ import annotations

import asyncio

import pytest

from asyncos_shell.terminals.lines import LOST, TYPE_AHEAD
from commands.dialog import EndOfInput, Interrupted
from tests.support.wire import make_terminal, person, soon, until


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, 1000])
async def test_carriage_return_and_line_feed_each_end_one_line(echo: bool, chunk: int) -> None:
    terminal, _ = make_terminal(echo=echo)
    data = b"a\r\nb\rc\nd\r\r\n\n"
    for start in range(0, len(data), chunk):
        terminal.received(data[start : start + chunk])
    terminal.ended()
    assert [await soon(terminal.read_line("> ")) for _ in range(6)] == ["a", "b", "c", "d", "", ""]
    with pytest.raises(EndOfInput):
        await soon(terminal.read_line("> "))


async def test_a_line_feed_that_comes_late_belongs_to_its_carriage_return() -> None:
    terminal, wire = make_terminal()
    terminal.received(b"a\r")
    assert await soon(terminal.read_line("> ")) == "a"
    terminal.received(b"\nb\n")
    assert await soon(terminal.read_line("> ")) == "b"
    terminal.flush()
    assert wire.sent == b"> \n> \n"


async def test_without_echo_one_line_end_follows_each_line() -> None:
    terminal, wire = make_terminal()
    terminal.received(b"version\n")
    await soon(terminal.read_line("host> "))
    terminal.write("text\n")
    terminal.flush()
    assert wire.sent == b"host> \ntext\n"


async def test_with_a_pty_lines_end_in_cr_lf_and_never_in_cr_cr_lf() -> None:
    terminal, wire = person()
    terminal.received(b"version\r")
    await soon(terminal.read_line("host> "))
    terminal.write("one\r\ntwo\n")
    terminal.flush()
    assert wire.sent == b"host> version\r\none\r\ntwo\r\n"


async def test_input_typed_ahead_is_echoed_when_its_question_reads_it() -> None:
    terminal, wire = person()
    terminal.received(b"one\rsecret\rtwo\r")
    assert await soon(terminal.read_line("a> ")) == "one"
    assert await soon(terminal.read_line("Passphrase: ", hidden=True)) == "secret"
    assert await soon(terminal.read_line("b> ")) == "two"
    terminal.flush()
    assert wire.sent == b"a> one\r\nPassphrase: \r\nb> two\r\n"


async def test_keys_are_echoed_at_once() -> None:
    terminal, wire = person()
    reading = asyncio.ensure_future(terminal.read_line("> "))
    await until(lambda: wire.sent == b"> ")
    terminal.received(b"ab")
    await until(lambda: wire.sent == b"> ab")
    terminal.received(b"\x7f\r")
    assert await soon(reading) == "a"


@pytest.mark.parametrize("echo", [False, True])
async def test_a_line_of_20000_characters_is_delivered_whole(echo: bool) -> None:
    terminal, _ = make_terminal(echo=echo)
    line = "x" * 19_999 + "ä"
    data = f"{line}\n".encode()
    reading = asyncio.ensure_future(terminal.read_line("> "))
    for start in range(0, len(data), 999):
        terminal.received(data[start : start + 999])
        await asyncio.sleep(0)
    assert await soon(reading) == line


@pytest.mark.parametrize("echo", [False, True])
async def test_a_mebibyte_typed_ahead_is_kept(echo: bool) -> None:
    terminal, wire = make_terminal(echo=echo)
    lines = [f"line {number:08d}" for number in range(1024 * 1024 // 14)]
    data = "".join(f"{line}\n" for line in lines).encode()
    for start in range(0, len(data), 32768):
        terminal.received(data[start : start + 32768])
    assert wire.held == []
    assert [await terminal.read_line("") for _ in lines] == lines


async def test_more_input_than_that_makes_the_wire_wait() -> None:
    terminal, wire = make_terminal()
    line = "x" * 999
    terminal.received(f"{line}\n".encode() * (TYPE_AHEAD // 900))
    assert wire.held == [True]
    while wire.held == [True]:
        assert await terminal.read_line("") == line
    assert wire.held == [True, False]


async def test_octets_that_are_no_utf8_reach_the_dialog_as_such() -> None:
    terminal, wire = make_terminal(echo=True)
    terminal.received(b"a\xff\xc3\r")
    assert await soon(terminal.read_line("> ")) == "a\udcff\udcc3"
    terminal.flush()
    assert wire.sent == b"> a??\n"


async def test_a_character_that_arrives_in_two_pieces_is_one() -> None:
    terminal, _ = make_terminal()
    terminal.received("ä".encode()[:1])
    terminal.received("ä".encode()[1:] + b"\n")
    assert await soon(terminal.read_line("> ")) == "ä"


async def test_a_tab_without_keyboard_is_a_blank() -> None:
    terminal, _ = make_terminal()
    terminal.received(b"version\tx\n")
    assert await soon(terminal.read_line("> ")) == "version x"


@pytest.mark.parametrize("echo", [False, True])
async def test_ctrl_c_drops_the_line_and_interrupts_the_question(echo: bool) -> None:
    terminal, wire = make_terminal(echo=echo)
    terminal.received(b"half\x03version\n")
    with pytest.raises(Interrupted):
        await soon(terminal.read_line("> "))
    assert await soon(terminal.read_line("> ")) == "version"
    terminal.flush()
    assert wire.sent == (b"> half^C\n> version\n" if echo else b"> ^C\n> \n")


@pytest.mark.parametrize("echo", [False, True])
async def test_a_signal_interrupts_at_once(echo: bool) -> None:
    terminal, wire = make_terminal(echo=echo)
    reading = asyncio.ensure_future(terminal.read_line("> "))
    await until(lambda: wire.sent == b"> ")
    terminal.received(b"half")
    terminal.interrupt()
    with pytest.raises(Interrupted):
        await soon(reading)
    terminal.received(b"whole\n")
    assert await soon(terminal.read_line("> ")) == "whole"


async def test_ctrl_c_for_a_running_command_drops_what_was_typed_before() -> None:
    terminal, wire = person()
    stopped: list[str] = []
    terminal.on_interrupt = lambda: stopped.append("stopped")
    terminal.received(b"\x03")
    assert stopped == ["stopped"]
    terminal.received(b"typed\r")
    terminal.received(b"\x03")  # meant for the question that will read the line before it
    assert stopped == ["stopped"]
    terminal.received(b"\x03next\r")
    assert stopped == ["stopped"] * 2
    terminal.on_interrupt = None
    assert await soon(terminal.read_line("> ")) == "next"
    assert b"^C\r\n^C\r\n" in wire.sent


async def test_ctrl_c_in_a_burst_stays_in_its_place() -> None:
    terminal, _ = person()
    terminal.received(b"one\rtwo\r\x03three\r")
    assert await soon(terminal.read_line("> ")) == "one"
    assert await soon(terminal.read_line("> ")) == "two"
    with pytest.raises(Interrupted):
        await soon(terminal.read_line("> "))
    assert await soon(terminal.read_line("> ")) == "three"


async def test_ctrl_d_on_an_empty_line_is_an_end_that_may_be_followed_by_more() -> None:
    terminal, wire = person()
    terminal.received(b"\x04version\r")
    with pytest.raises(EndOfInput):
        await soon(terminal.read_line("> "))
    assert await soon(terminal.read_line("> ")) == "version"
    assert wire.sent == b"> \r\n> "


async def test_a_last_line_without_end_counts() -> None:
    terminal, _ = make_terminal()
    terminal.received(b"version")
    terminal.ended()
    assert await soon(terminal.read_line("> ")) == "version"
    with pytest.raises(EndOfInput):
        await soon(terminal.read_line("> "))


@pytest.mark.parametrize(("prompt", "shown"), [("> ", b"text\n> \n"), ("", b"text\n")])
async def test_the_end_of_input_ends_a_line_that_was_begun(prompt: str, shown: bytes) -> None:
    terminal, wire = make_terminal()
    terminal.write("text\n")
    terminal.ended()
    with pytest.raises(EndOfInput):
        await soon(terminal.read_line(prompt))
    terminal.flush()
    assert wire.sent == shown


async def test_a_question_waits_until_a_slow_client_has_read() -> None:
    terminal, wire = make_terminal(stuck=True)
    terminal.received(b"a\n")
    terminal.write("x" * 1_000_000)
    reading = asyncio.ensure_future(terminal.read_line("> "))
    await asyncio.sleep(0.05)
    assert not reading.done()
    wire.stuck = False
    assert await soon(reading) == "a"


async def test_a_client_that_never_reads_is_given_up() -> None:
    terminal, wire = make_terminal(stuck=True)
    terminal.write("x" * (LOST + 1))
    terminal.flush()
    assert wire.was_cut


async def test_text_is_flushed_by_itself() -> None:
    terminal, wire = make_terminal()
    terminal.write("a")
    terminal.write("b\n")
    assert wire.sent == b""
    await asyncio.sleep(0)
    assert wire.sent == b"ab\n"


@pytest.mark.parametrize(
    ("texts", "ends"), [([], 2), (["a"], 0), (["a\n"], 1), (["a\n", "\n"], 2), (["a\n\n\n"], 2), (["\n", "a", "\n"], 1)]
)
async def test_it_knows_whether_it_stands_below_a_blank_line(texts: list[str], ends: int) -> None:
    terminal, _ = make_terminal()
    for text in texts:
        terminal.write(text)
    assert terminal.line_ends == ends
