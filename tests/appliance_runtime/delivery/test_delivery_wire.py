"""The client's side of a connection: replies in any cut, limits, and what must not be taken for an answer."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.delivery.connection import keywords
from appliance_runtime.delivery.replies import Reply
from appliance_runtime.delivery.transaction import dot_stuffed
from appliance_runtime.delivery.wire import Lost, Step, Wire, connect

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def against(script: Script, scale: float = 0.01) -> AsyncIterator[Wire]:
    """A connection to a server that follows a script."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    wire = await connect(server.sockets[0].getsockname()[:2], scale, None)
    try:
        yield wire
    finally:
        wire.close()
        server.close()
        await server.wait_closed()


def saying(*segments: bytes, stay: bool = True) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for segment in segments:
            writer.write(segment)
            await writer.drain()
            await asyncio.sleep(0.005)
        if stay:
            await reader.read(1)

    return script


async def test_reply_in_several_segments() -> None:
    async with against(saying(b"250-mx.te", b"st\r\n25", b"0-SIZE 5\r", b"\n250 STARTTLS\r\n")) as wire:
        assert await wire.reply(120) == Reply(250, ("mx.test", "SIZE 5", "STARTTLS"))


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"250\r\n", Reply(250, ("",))),
        (b"250 \r\n", Reply(250, ("",))),
        (b"250 ok\n", Reply(250, ("ok",))),
        (b"550-5.1.1 a\r\n550 5.1.1 b\r\n", Reply(550, ("5.1.1 a", "5.1.1 b"))),
        (b"554 \xff\xfe\r\n", Reply(554, ("\udcff\udcfe",))),
    ],
)
async def test_forms_of_replies(octets: bytes, reply: Reply) -> None:
    async with against(saying(octets)) as wire:
        assert await wire.reply(120) == reply


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"hello\r\n", "unexpected response 'hello'"),
        (b"25 x\r\n", "unexpected response '25 x'"),
        (b"250x\r\n", "unexpected response '250x'"),
        (b"199 x\r\n", "unexpected response '199 x'"),
        (b"HTTP/1.0 400 \x1b[2J\r\n", "unexpected response 'HTTP/1.0 400 \\x1b[2J'"),
        (b"250-x\r\n" * 101, "reply too long"),
        (b"2" * 70000, "reply too long"),
        (b"250-" + b"x" * 66000 + b"\r\n", "reply too long"),
    ],
)
async def test_what_is_no_reply(octets: bytes, text: str) -> None:
    async with against(saying(octets)) as wire:
        with pytest.raises(Lost) as lost:
            await wire.reply(120)
        assert str(lost.value) == text


async def test_a_hundred_lines_are_a_reply() -> None:
    async with against(saying(b"250-x\r\n" * 99 + b"250 x\r\n")) as wire:
        assert len((await wire.reply(120)).lines) == 100


async def test_the_limit_is_for_the_whole_reply() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(100):
            writer.write(b"2")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with against(drip) as wire:
        with pytest.raises(Lost, match="timeout"):
            await wire.reply(5)


async def test_closed_by_the_peer() -> None:
    async with against(saying(b"250-half\r\n", stay=False)) as wire:
        with pytest.raises(Lost, match="EOF"):
            await wire.reply(120)
        with pytest.raises(Lost, match="EOF"):
            await wire.ask("NOOP", 120)


async def test_what_comes_unasked_is_no_answer_to_the_next_command() -> None:
    async with against(saying(b"220 hello\r\n421 4.3.2 going down\r\n")) as wire:
        assert (await wire.reply(120)).code == 220
        await asyncio.sleep(0.01)
        assert wire.pending
        with pytest.raises(Lost, match=r"421 4\.3\.2 going down"):
            await wire.ask("EHLO x", 120)


async def test_two_replies_in_one_segment_are_two() -> None:
    async with against(saying(b"220 hello\r\n250 more\r\n")) as wire:
        assert [(await wire.reply(120)).code, (await wire.reply(120)).code] == [220, 250]


async def test_a_peer_that_reads_nothing() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)

    async with against(deaf, 0.0005) as wire:
        with pytest.raises(Lost, match="timeout"):
            await wire.send(b"x" * 50_000_000)


def transaction(body: bytes) -> Generator[Step, Reply, tuple[list[int], str]]:
    """DATA and a body; the codes that came, and how it ended."""
    codes: list[int] = []
    try:
        codes.append((yield b"DATA\r\n", 120).code)
        codes.append((yield body, 600).code)
    except Lost as lost:
        return codes, str(lost)
    return codes, "done"


async def test_a_dialogue_over_replies_in_pieces() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for piece in (b"35", b"4-and\r\n3", b"54 go\r", b"\n"):
            writer.write(piece)
            await asyncio.sleep(0.002)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 ok\r\n")
        await reader.read(1)

    async with against(script) as wire:
        assert await wire.converse(transaction(b"text\r\n.\r\n")) == ([354, 250], "done")
        assert wire.lost is None and not wire.sending


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (b"354 go\r\n250 taken already\r\n", ([354], "250 taken already")),
        (b"354 go\r\n250 tak", ([354], "unexpected response")),
        (b"no reply\r\n", ([], "unexpected response 'no reply'")),
    ],
)
async def test_an_answer_before_the_question_ends_a_dialogue(first: bytes, expected: tuple[list[int], str]) -> None:
    """Else a reply to DATA that brings another one along would count as the one to the final dot."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(first)
        await reader.read(1)

    async with against(script) as wire:
        assert await wire.converse(transaction(b".\r\n")) == expected


@pytest.mark.parametrize(("limit", "text"), [(0.2, "timeout"), (100.0, "EOF")])
async def test_a_dialogue_with_a_peer_that_reads_nothing_of_the_body(limit: float, text: str) -> None:
    """Until the last octet has left, nobody may think that the message has arrived."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"354 go\r\n")
        await asyncio.sleep(1 if limit < 1 else 0.05)
        writer.transport.abort()

    sending: list[bool] = []

    def dialogue() -> Generator[Step, Reply, str]:
        yield b"DATA\r\n", 120
        try:
            yield b"x" * 50_000_000, 600
        except Lost as lost:
            sending.append(wire.sending)
            return "EOF" if "reset" in str(lost) or "Broken pipe" in str(lost) else str(lost)
        return "done"

    async with against(script, limit / 180) as wire:
        assert await wire.converse(dialogue()) == text
        assert sending == [True]


async def test_a_mistake_in_a_dialogue_reaches_whoever_waits() -> None:
    def dialogue() -> Generator[Step, Reply, None]:
        yield b"NOOP\r\n", 120
        raise ZeroDivisionError

    async with against(saying(b"250 ok\r\n")) as wire:
        with pytest.raises(ZeroDivisionError):
            await wire.converse(dialogue())


async def test_no_file_left_for_a_connection() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(Lost, match=r"\[Errno 24\] Too many open files"):
            await connect(("127.0.0.1", 9), 1, None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_keywords_are_first_words_of_the_following_lines() -> None:
    reply = Reply(250, ("STARTTLS", "size 100", "8BITMIME", "AUTH=LOGIN", "", " Help", "STARTTLS2 x"))
    assert keywords(reply) == {"SIZE": "100", "8BITMIME": "", "HELP": "", "STARTTLS2": "x"}


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"..", b"a", b"\xff"])).map(b"".join))
def test_content_on_the_wire(body: bytes) -> None:
    """Only CRLF ends lines, the end mark occurs once, and the peer gets the lines back."""
    wire = dot_stuffed(body)
    assert wire.endswith(b".\r\n")
    assert wire.count(b"\r") == wire.count(b"\n") == wire.count(b"\r\n")
    assert wire == b".\r\n" or wire.index(b"\r\n.\r\n") == len(wire) - 5
    lines = wire.split(b"\r\n")[:-2]
    received = [line[1:] if line.startswith(b".") else line for line in lines]
    expected = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    assert received == (expected[:-1] if expected[-1] == b"" else expected)
