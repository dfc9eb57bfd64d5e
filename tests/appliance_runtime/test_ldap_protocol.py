"""LDAP messages: requests octet by octet, replies as servers may and may not send them."""

from __future__ import annotations

import asyncio

import pytest

from appliance_runtime.ldap_protocol import (
    BIND_RESPONSE,
    LARGEST,
    SEARCH_DONE,
    Answer,
    NotLdap,
    answer,
    base_request,
    bind_request,
    result_name,
    unbind_request,
)
from tests.support.ldap_server import ENTRY, bound, done, message, result

REFERENCE = message(2, 0x73, b"\x04\x09ldap://x/")


def test_requests() -> None:
    assert bind_request(1, "", "") == bytes.fromhex("300c020101600702010304008000")
    assert bind_request(1, "cn=a", "s3") == bytes.fromhex("3012020101600d0201030404636e3d6180027333")
    assert unbind_request(3) == bytes.fromhex("30050201034200")
    assert base_request(2, "dc=x") == bytes.fromhex(
        "302e0201026329040464633d780a01000a0100020100020100010100870b6f626a656374436c61737330050403312e31"
    )


@pytest.mark.parametrize("size", [127, 128, 255, 256, 70_000])
def test_lengths_and_letters_of_a_passphrase(size: int) -> None:
    """What is sent is read again by the other half of the module."""
    request = bind_request(1, "é" * 10, "x" * size)
    assert request.count(b"x" * size) == 1 and "é".encode() * 10 in request
    head = 2 if len(request) < 130 else 2 + (request[1] & 0x7F)
    length = request[1] if head == 2 else int.from_bytes(request[2:head], "big")
    assert head + length == len(request)


async def read(octets: bytes, number: int, operation: int) -> Answer:
    reader = asyncio.StreamReader()
    reader.feed_data(octets)
    reader.feed_eof()
    return await answer(reader, number, operation)


@pytest.mark.parametrize(
    ("octets", "operation", "expected"),
    [
        (bound(), BIND_RESPONSE, Answer(code=0)),
        (bound(49), BIND_RESPONSE, Answer(code=49)),
        (ENTRY + done(), SEARCH_DONE, Answer(code=0, entries=1)),
        (REFERENCE + done(), SEARCH_DONE, Answer(code=0)),
        (done(32), SEARCH_DONE, Answer(code=32)),
        # lengths in the long form, controls after the operation, a code of two octets
        (bytes.fromhex("3084000000100201016184000000070a010004000400"), BIND_RESPONSE, Answer(code=0)),
        (bytes.fromhex("301202010161070a010004000400a00430020400"), BIND_RESPONSE, Answer(code=0)),
        (bytes.fromhex("300d02010161080a02100004000400"), BIND_RESPONSE, Answer(code=4096)),
        # notice of disconnection
        (result(0, 0x78, 52), BIND_RESPONSE, Answer(code=52)),
    ],
)
async def test_replies(octets: bytes, operation: int, expected: Answer) -> None:
    assert await read(octets, 1 if operation == BIND_RESPONSE else 2, operation) == expected


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x80\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00\x00\x00",  # indefinite length
        b"\x30\x00" * 4,
        b"\x30\x01\x02",
        b"\x30\x85\x00\x00\x00\x00\x01\x00",
        b"\x30\x84" + (LARGEST + 1).to_bytes(4, "big"),
        b"\x30\x02\x02\x00",  # a number without octets
        b"\x30\x07\x02\x05\x00\x00\x00\x00\x01",
        b"\x30\x05\x02\x01\x01\x61\x07",  # the operation is longer than the message
        b"\x30\x05\x02\x01\x01\x61\x00",
        message(1, 0x61, b"\x02\x01\x00"),  # the code is no ENUMERATED
        message(1, 0x61, b"\x0a\x80\x00"),
        result(7, 0x61, 0),  # to a request that was never made
        ENTRY,
        message(1, 0x64, b"") + bound(),  # an entry before the answer to a bind
    ],
)
async def test_what_is_no_answer(octets: bytes) -> None:
    with pytest.raises(NotLdap):
        await read(octets, 1, BIND_RESPONSE)


@pytest.mark.parametrize("octets", [b"", b"\x30", b"\x30\x84\x00", bound()[:-1], ENTRY])
async def test_an_answer_that_ends_too_early(octets: bytes) -> None:
    with pytest.raises(EOFError):
        await read(octets, 2 if octets == ENTRY else 1, SEARCH_DONE if octets == ENTRY else BIND_RESPONSE)


async def test_the_messages_of_one_answer_are_bounded_together() -> None:
    with pytest.raises(NotLdap):
        await read(ENTRY * (LARGEST // (len(ENTRY) - 2) + 1), 2, SEARCH_DONE)


def test_names_of_results() -> None:
    assert (result_name(49), result_name(32), result_name(4096)) == ("invalidCredentials", "noSuchObject", "unknown result")
