"""STARTTLS of listeners: handshakes that fail and why, client certificates, limits (listenerconfig.md 11, 14)."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from pathlib import Path

import attrs
import pytest

from appliance_runtime.smtp import connection
from appliance_state.model.listeners import ListenerGlobals
from tests.appliance_runtime.smtp.bench import Bench, Client, certificate, client_context, public_listener

FAILED = "ICID 1 TLS failed: "


async def after_220(bench: Bench, **changes: object) -> Client:
    """A client to which STARTTLS was answered with 220."""
    await bench.start(public_listener(tls="on", **changes))
    client = await bench.client()
    await client.command("EHLO a")
    assert await client.command("STARTTLS") == "220 Go ahead with TLS"
    return client


async def shake(client: Client, context: ssl.SSLContext) -> None:
    """A handshake that the server, or we, refuse; in TLS 1.3 a client learns of it with the first read."""
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await client.writer.start_tls(context)
        await client.reader.readexactly(1)


async def failure(bench: Bench) -> str:
    lines = await bench.ended()
    assert not [line for line in lines if "TLS success" in line]
    assert lines[-1] == "ICID 1 close"
    return next(line.removeprefix(FAILED) for line in lines if line.startswith(FAILED))


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", "http request"),
        (b"\x80\x0b\x7f garbage of 24 bytes!", "bad packet length"),
        (b"NOOP\r\nNOOP\r\n", "bad packet length"),
        (b"\x16\x09\x09\x00\x20" + b"x" * 32, "wrong version number"),
    ],
)
async def test_what_is_no_tls(bench: Bench, octets: bytes, reason: str) -> None:
    client = await after_220(bench)
    client.send(octets)
    assert b"5" not in await client.reader.read(), "no reply follows, at most an alert"
    await client.close()
    assert await failure(bench) == reason


async def test_a_client_with_old_protocols_only(bench: Bench) -> None:
    client = await after_220(bench)
    context = client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    await shake(client, context)
    assert await failure(bench) == "unsupported protocol"


async def test_a_client_without_a_shared_cipher(bench: Bench) -> None:
    client = await after_220(bench)
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # the server's key is an EC key
    await shake(client, context)
    assert await failure(bench) == "no shared cipher"


async def test_a_client_that_does_not_trust_our_certificate(bench: Bench) -> None:
    port = await bench.start(public_listener(tls="on"))

    def refuse() -> None:
        context = client_context()
        context.verify_mode = ssl.CERT_REQUIRED
        with smtplib.SMTP("127.0.0.1", port) as server, pytest.raises(ssl.SSLCertVerificationError):
            server.starttls(context=context)

    await asyncio.to_thread(refuse)
    assert await failure(bench) == "tlsv1 alert unknown ca"


async def test_a_client_that_ends_the_connection(bench: Bench) -> None:
    client = await after_220(bench)
    await client.close()
    assert await failure(bench) == "EOF"
    assert bench.logs.lines[-2] == "ICID 1 lost"


async def test_a_client_that_has_closed_its_side_before_the_handshake_begins(bench: Bench) -> None:
    await bench.start(public_listener(tls="on"))
    bench.queue.hold()
    client = await bench.client()
    client.send(b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<joe@example.com>\r\nDATA\r\n.\r\nSTARTTLS\r\n")
    client.writer.write_eof()
    async with asyncio.timeout(5):
        while not bench.queue.waiting:
            await asyncio.sleep(0.002)
    await asyncio.sleep(0.02)
    bench.queue.let_go()
    replies = [await client.reply() for _ in range(6)]
    assert replies[-2:] == ["250 ok:  Message 1 accepted", "220 Go ahead with TLS"]
    assert await client.ended()
    assert (await bench.ended())[-3:] == ["ICID 1 TLS failed: EOF", "ICID 1 lost", "ICID 1 close"]


async def test_a_client_that_resets_the_connection(bench: Bench) -> None:
    client = await after_220(bench)
    client.reset()
    assert await failure(bench) == "[Errno 104] Connection reset by peer"


async def test_a_client_that_says_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_LIMIT", 0.02)
    client = await after_220(bench)
    assert await client.ended()
    await client.close()
    assert await failure(bench) == "timeout"


async def test_a_limit_of_time_in_the_middle_of_a_handshake(bench: Bench) -> None:
    client = await after_220(bench)
    await bench.clock.advance(300)
    assert await client.ended(), "a reply in clear text would not be understood"
    await client.close()
    assert (await bench.ended())[-2:] == [
        "ICID 1 disconnected address 127.0.0.1, no messages injected within timeout period",
        "ICID 1 close",
    ]


async def test_a_failed_handshake_where_tls_is_required_leaves_the_line_about_it_too(bench: Bench) -> None:
    await bench.start(public_listener(tls="require"))
    client = await bench.client()
    await client.command("STARTTLS")
    await client.close()
    assert (await bench.ended())[2:] == [
        "ICID 1 TLS failed: EOF",
        "ICID 1 TLS was required but remote host did not initiate it",
        "ICID 1 lost",
        "ICID 1 close",
    ]


@pytest.mark.parametrize("tls", ["on", "require"])
async def test_a_client_certificate_of_a_listed_authority(bench: Bench, tmp_path: Path, tls: str) -> None:
    await bench.start(public_listener(tls=tls, tls_verify=True))
    client = await bench.client()
    await client.start_tls(client_context(certificate("client.test", "Lab CA"), tmp_path))
    await client.command("EHLO a")
    assert await client.deliver() == "250 ok:  Message 1 accepted"
    await client.quit()
    assert (await bench.ended())[2:4] == [
        "ICID 1 TLS success protocol TLSv1.3 cipher TLS_AES_256_GCM_SHA384",
        "ICID 1 TLS verify success: client certificate CN=client.test",
    ]


@pytest.mark.parametrize("tls", ["on", "require"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_of_an_unknown_authority(bench: Bench, tmp_path: Path, tls: str, version: ssl.TLSVersion) -> None:
    await bench.start(public_listener(tls=tls, tls_verify=True))
    client = await bench.client()
    await client.command("STARTTLS")
    context = client_context(certificate("client.test", "Other CA"), tmp_path)
    context.maximum_version = version
    await shake(client, context)
    assert await failure(bench) == "client certificate verify error: unable to get local issuer certificate"
    assert bench.logs.lines[2] == "ICID 1 TLS verify failed: unable to get local issuer certificate"


async def test_no_client_certificate(bench: Bench) -> None:
    await bench.start(public_listener(tls="on", tls_verify=True))
    client = await bench.client()
    await client.start_tls()
    await client.command("EHLO a")
    assert await client.deliver() == "250 ok:  Message 1 accepted"
    await client.quit()
    bench.configure(public_listener(tls="require", tls_verify=True))
    client = await bench.client()
    await client.command("STARTTLS")
    await shake(client, client_context())
    await bench.ended()
    assert "ICID 2 TLS failed: client certificate missing" in bench.logs.lines
    assert not [line for line in bench.logs.lines if "TLS verify" in line]


async def test_clear_octets_in_the_packet_of_starttls_are_dropped(bench: Bench) -> None:
    await bench.start(public_listener(tls="on"))
    client = await bench.client()
    client.send(b"EHLO a\r\nSTARTTLS\r\nNOOP\r\nMAIL FROM:<evil@b>\r\n")
    assert (await client.reply()).startswith("250-")
    assert await client.reply() == "220 Go ahead with TLS"
    await client.writer.start_tls(client_context())
    assert await client.command("VRFY x") == "252 ok", "the first reply inside TLS is that to the first command inside TLS"
    assert await client.command("MAIL FROM:<a@b>") == "503 #5.5.1 HELO/EHLO first"
    await client.quit()
    assert not [line for line in await bench.ended() if "evil" in line]


async def test_too_many_tls_sessions(bench: Bench) -> None:
    await bench.start(public_listener(tls="on"), listener_globals=ListenerGlobals(max_tls_connections=1))
    first, second = await bench.client(), await bench.client()
    await first.start_tls()
    assert await second.command("STARTTLS") == "421 #4.4.5 Too many TLS sessions at this time"
    assert await second.ended()
    await second.close()
    await first.quit()
    third = await bench.client()
    await third.start_tls()
    await third.quit()
    assert "ICID 2 Receiving Failed: Connection limit exceeded" in await bench.ended()


async def test_a_context_that_cannot_be_used(bench: Bench) -> None:
    await bench.start(public_listener(tls="on"))
    bench.running = attrs.evolve(bench.running, inbound_contexts={})
    client = await bench.client()
    assert await client.command("STARTTLS") == "454 TLS not available due to a temporary reason"
    assert await client.command("NOOP") == "250 ok"
    await client.quit()


async def test_a_session_keeps_the_certificate_with_which_it_began(bench: Bench) -> None:
    await bench.start(public_listener(tls="on"))
    client = await bench.client()
    bench.running = attrs.evolve(bench.running, inbound_contexts={})
    await client.start_tls()
    await client.quit()


async def test_a_large_message_in_tls(bench: Bench) -> None:
    await bench.start(public_listener(tls="on"))
    client = await bench.client()
    await client.start_tls()
    await client.command("EHLO a")
    data = b"Subject: large\r\n\r\n" + b"x" * 78 + b"\r\n" + b"0123456789abcdef" * 100000 + b"\r\n"
    assert await client.deliver(data) == "250 ok:  Message 1 accepted"
    await client.quit()
    await bench.ended()
    assert bench.queue.bodies[0].endswith(data)


async def test_everything_in_one_record_with_its_end(bench: Bench) -> None:
    """A client that pipelines in TLS and closes its side of it gets its replies."""
    await bench.start(public_listener(tls="on"))
    client = await bench.client()
    await client.start_tls()
    client.send(b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<joe@example.com>\r\nDATA\r\nA: b\r\n\r\n.\r\nQUIT\r\n")
    replies = [await client.reply() for _ in range(6)]
    assert replies[-2:] == ["250 ok:  Message 1 accepted", "221 mail3.example.com"]
    await client.close()


async def test_the_end_of_tls_ends_the_session(bench: Bench) -> None:
    """A client that says in TLS that nothing more follows, and waits for our side to be closed too."""
    await bench.start(public_listener(tls="on"))
    client = await bench.client()
    await client.start_tls()
    await client.commands("EHLO a", "MAIL FROM:<a@b>")
    async with asyncio.timeout(5):
        await client.close()
    assert (await bench.ended())[-3:] == ["Message finished MID 1 aborted", "ICID 1 lost", "ICID 1 close"]


async def test_garbage_inside_tls_ends_the_connection(bench: Bench) -> None:
    await bench.start(public_listener(tls="on"))
    client = await bench.client()
    await client.start_tls()
    await client.command("NOOP")
    raw = client.writer.transport._ssl_protocol._transport  # type: ignore[attr-defined]
    raw.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert (await bench.ended())[-2:] == ["ICID 1 lost", "ICID 1 close"]
    client.writer.transport.abort()
