"""Every reply of the table of listenerconfig.md 11, over real sockets."""

from __future__ import annotations

import asyncio
import smtplib

import attrs
import pytest

from appliance_runtime.dns.answers import Reverse
from appliance_state.model.listeners import Access, Behavior, DomainMapping, ListenerGlobals, RatEntry
from tests.appliance_runtime.smtp.bench import EVERYONE, Bench, group, private_listener, public_listener

SESSION = [
    ("NOOP", "250 ok"),
    ("noop with words", "250 ok"),
    ("VRFY joe", "252 ok"),
    ("RSET", "250 reset"),
    (
        "HELP",
        "214-The following commands are recognized\n214- auth data ehlo helo\n214- help mail noop quit\n214 rcpt rset vrfy",
    ),
    ("AUTH PLAIN AGEAYg==", "503 #5.3.3 AUTH not available"),
    ("STARTTLS", "500 #5.5.1 command not recognized"),
    ("EXPN staff", "500 #5.5.1 command not recognized"),
    ("MAIL FROM:<a@b.test>", "503 #5.5.1 HELO/EHLO first"),
    ("RCPT TO:<joe@example.com>", "503 #5.5.1 MAIL first"),
    ("EHLO", "501 #5.0.0 EHLO requires domain address"),
    ("EHLO   ", "501 #5.0.0 EHLO requires domain address"),
    ("HELO", "250 mail3.example.com"),
    ("HELO client.test", "250 mail3.example.com"),
    ("EHLO client.test", "250-mail3.example.com\n250-8BITMIME\n250 SIZE 10485760"),
    ("DATA", "503 #5.5.1 RCPT first"),
    ("MAIL", "501 #5.5.2 syntax error"),
    ("MAIL a@b.test", "501 #5.5.2 syntax error a@b.test"),
    ("MAIL FROM:<a b>", "501 #5.5.2 syntax error FROM:<a b>"),
    ("MAIL FROM:<a@b.test> FOO=bar", "501 Unknown option FOO"),
    ("MAIL FROM:<a@b.test> SMTPUTF8", "501 Unknown option SMTPUTF8"),
    ("MAIL FROM:<a@b.test> SIZE=abc", "501 Unknown value abc"),
    ("MAIL FROM:<a@b.test> BODY=9BIT", "501 Unknown value 9BIT"),
    ("MAIL FROM:<a@b.test> SIZE=10485761", "552 #5.3.4 message size exceeds limit"),
    ("MAIL FROM:<joe>", "501 #5.1.7 Bad sender address syntax"),
    ("MAIL FROM:<a@b.test> SIZE=10485760 BODY=8BITMIME", "250 sender <a@b.test> ok"),
    ("MAIL FROM:<a@b.test>", "503 #5.5.1 Sender already specified"),
    ("DATA", "503 #5.5.1 RCPT first"),
    ("RCPT", "501 #5.5.2 syntax error"),
    ("RCPT TO:<>", "501 #5.5.2 syntax error TO:<>"),
    ("RCPT TO:<joe>", "501 #5.1.3 Bad recipient address syntax"),
    ("RCPT TO:<joe@example.com> NOTIFY=NEVER", "501 Unknown option NOTIFY"),
    ("RCPT TO:<joe@other.test>", "550 #5.1.0 Address rejected."),
    ("RCPT TO:<postmaster>", "550 #5.1.0 Address rejected."),
    ("RCPT TO:<joe@example.com>", "250 recipient <joe@example.com> ok"),
    ("RCPT TO:<@relay.test:ann@example.com>", "250 recipient <ann@example.com> ok"),
    ("rcpt to: sue@EXAMPLE.com", "250 recipient <sue@EXAMPLE.com> ok"),
    ("DATA now", "501 #5.5.2 syntax error now"),
    ("RSET now", "501 #5.5.2 syntax error now"),
    ("QUIT now", "501 #5.5.2 syntax error now"),
    ("DATA", "354 go ahead"),
    (".", "250 ok:  Message 1 accepted"),
    ("MAIL FROM:<>", "250 sender <> ok"),
    ("EHLO again.test", "250-mail3.example.com\n250-8BITMIME\n250 SIZE 10485760"),
    ("mail from:a@b.test", "250 sender <a@b.test> ok"),
    ("x" * 1001, "500 Line too long"),
    ("QUIT", "221 mail3.example.com"),
]


async def test_a_session_with_every_command(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    for command, reply in SESSION:
        assert (command, await client.command(command)) == (command, reply)
    assert await client.ended()
    await client.close()


REQUIRED = "530 #5.7.0 Must issue a STARTTLS command first"


async def test_before_tls_where_it_is_required(bench: Bench) -> None:
    await bench.start(public_listener(tls="require"))
    client = await bench.client()
    for command in ("HELO a", "MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA", "RSET", "VRFY", "HELP", "AUTH PLAIN", "XYZZY", ""):
        assert (command, await client.command(command)) == (command, REQUIRED)
    for _ in range(6):
        assert await client.command("GARBAGE") == REQUIRED
    assert await client.command("NOOP") == "250 ok"
    assert await client.command("EHLO") == "501 #5.0.0 EHLO requires domain address"
    assert await client.command("EHLO a") == "250-mail3.example.com\n250-8BITMIME\n250-SIZE 10485760\n250 STARTTLS"
    assert await client.command("STARTTLS now") == "501 #5.5.2 syntax error now"
    await client.start_tls()
    assert (await client.command("HELP")).endswith("214 rcpt rset starttls vrfy")
    assert await client.command("EHLO a") == "250-mail3.example.com\n250-8BITMIME\n250 SIZE 10485760"
    assert await client.deliver() == "250 ok:  Message 1 accepted"
    await client.quit()


@pytest.mark.parametrize("commands", [("MAIL FROM:<a@b>", "QUIT"), ("NOOP", "QUIT"), ()])
async def test_a_clear_client_where_tls_is_required_leaves_one_line(bench: Bench, commands: tuple[str, ...]) -> None:
    await bench.start(public_listener(tls="require"))
    client = await bench.client()
    await client.commands(*commands)
    await client.close()
    lines = await bench.ended()
    assert lines.count("ICID 1 TLS was required but remote host did not initiate it") == 1
    assert not [line for line in lines if "MID" in line]


@pytest.mark.parametrize("tls", ["off", "on"])
async def test_no_such_line_where_tls_is_not_required(bench: Bench, tls: str) -> None:
    await bench.start(public_listener(tls=tls))
    client = await bench.client()
    await client.quit()
    assert not [line for line in await bench.ended() if "TLS" in line]


async def test_sender_and_recipient_get_the_default_domain(bench: Bench) -> None:
    await bench.start(public_listener(default_domain="example.com"))
    client = await bench.client()
    await client.command("EHLO a")
    assert await client.command("MAIL FROM:<joe>") == "250 sender <joe@example.com> ok"
    assert await client.command("RCPT TO:<ann>") == "250 recipient <ann@example.com> ok"
    assert await client.command("RCPT TO:<postmaster>") == "250 recipient <postmaster@example.com> ok"
    await client.quit()
    assert "MID 1 ICID 1 RID 1 To: <postmaster@example.com>" in await bench.ended()


async def test_postmaster_without_a_domain_is_the_hosts(bench: Bench) -> None:
    await bench.start(public_listener(accept=("postmaster@",)))
    client = await bench.client()
    await client.commands("EHLO a", "MAIL FROM:<a@b.test>")
    assert await client.command("RCPT TO:<Postmaster>") == "250 recipient <Postmaster@mail3.example.com> ok"
    await client.quit()


async def test_the_domain_map_comes_before_the_recipient_access_table(bench: Bench) -> None:
    mapping = (DomainMapping(original="@.old.test", new="@example.com"),)
    await bench.start(public_listener(domain_map=mapping))
    client = await bench.client()
    await client.command("EHLO a")
    assert await client.deliver(b"To: joe@sub.old.test\r\n\r\n", recipient="joe@sub.old.test") == "250 ok:  Message 1 accepted"
    await client.quit()
    assert bench.queue.messages[0].recipients == ("joe@example.com",)
    assert bench.queue.bodies[0].endswith(b"To: joe@sub.old.test\r\n\r\n")


async def test_custom_responses_of_the_recipient_access_table(bench: Bench) -> None:
    rat = (
        RatEntry(address="a@example.com", response_text="we are here\nand glad", response_code=251),
        RatEntry(address="b@example.com", response_text="glad"),
        RatEntry(address="c@example.com", access=Access.REJECT, response_code=450, response_text="later\nmaybe"),
        RatEntry(address="d@example.com", access=Access.REJECT, response_code=553),
        RatEntry(address="e@example.com", response_code=251),
        RatEntry(address="ALL", access=Access.REJECT),
    )
    await bench.start(public_listener(rat=rat))
    client = await bench.client()
    await client.commands("EHLO a", "MAIL FROM:<a@b.test>")
    assert await client.commands(*(f"RCPT TO:<{user}@example.com>" for user in "abcdef")) == [
        "251-we are here\n251 and glad",
        "250 glad",
        "450-later\n450 maybe",
        "553 #5.1.0 Address rejected.",
        "251 recipient <e@example.com> ok",
        "550 #5.1.0 Address rejected.",
    ]
    await client.quit()
    lines = await bench.ended()
    assert [line for line in lines if line.endswith("Rejected by RAT")] == [
        f"MID 1 ICID 1 To: <{user}@example.com> Rejected by RAT" for user in "cdf"
    ]
    assert bench.counters.values == {"rejected_recips": 3}


async def test_relaying_ignores_the_recipient_access_table(bench: Bench) -> None:
    await bench.start(public_listener(hat_sender_groups=(group("RELAY", "127.0.0.2", behavior=Behavior.RELAY), EVERYONE)))
    relay, other = await bench.client(source="127.0.0.2"), await bench.client()
    for client, reply in ((relay, "250 ok:  Message 1 accepted"), (other, "550 #5.1.0 Address rejected.")):
        await client.command("EHLO a")
        assert await client.deliver(recipient="x@anywhere.test") == reply
        await client.quit()


BANNERS = [
    ({}, "220 mail3.example.com ESMTP"),
    ({"override_hostname": "mx.test"}, "220 mx.test ESMTP"),
    ({"override_hostname": ""}, "220 ESMTP"),
    ({"smtp_banner_code": 250}, "250 mail3.example.com ESMTP"),
    ({"smtp_banner_text": "Hello $RemoteIP\nbye"}, "220-mail3.example.com ESMTP\n220-Hello 127.0.0.1\n220 bye"),
    (
        {"smtp_banner_text": "$Group $hostname $ORGID $hatentry $Other $"},
        "220-mail3.example.com ESMTP\n220 None None None ALL $Other $",
    ),
]


@pytest.mark.parametrize(("parameters", "banner"), BANNERS)
async def test_banners(bench: Bench, parameters: dict[str, object], banner: str) -> None:
    await bench.start(public_listener(**parameters))
    client = await bench.client()
    assert client.banner == banner
    await client.quit()


@pytest.mark.parametrize(
    ("reverse", "text"),
    [
        (Reverse(name="c.test", verified=True), "c.test"),
        (Reverse(name="c.test"), "None"),
        (Reverse(), "None"),
        (Reverse(failed=True), "Unknown"),
        (Reverse(name="c.test", failed=True), "Unknown"),
    ],
)
async def test_host_name_of_the_client_in_texts(bench: Bench, reverse: Reverse, text: str) -> None:
    bench.names.names["127.0.0.1"] = reverse
    await bench.start(public_listener(smtp_banner_text="$Hostname"))
    client = await bench.client()
    assert client.banner == f"220-mail3.example.com ESMTP\n220 {text}"
    await client.quit()
    verified = "yes" if reverse.verified else "no"
    assert (await bench.ended())[0].endswith(f"reverse dns host {reverse.name or 'unknown'} verified {verified}")


REPUTATION = (
    "Your access to this mail system has been rejected due to the sending MTA's poor reputation. If you believe that this failure is in "
    "error, please contact the intended recipient via alternate means."
)


@pytest.mark.parametrize(
    ("parameters", "banner"),
    [
        ({}, f"554-mail3.example.com\n554 {REPUTATION}"),
        ({"reject_banner_code": 421}, f"421-mail3.example.com\n421 {REPUTATION}"),
        ({"reject_banner_text": "Go away, $RemoteIP\n($Group)"}, "554-mail3.example.com\n554-Go away, 127.0.0.1\n554 (BAD)"),
    ],
)
async def test_reject(bench: Bench, parameters: dict[str, object], banner: str) -> None:
    await bench.start(public_listener(hat_sender_groups=(group("BAD", "127.0.0.1", behavior=Behavior.REJECT), EVERYONE), **parameters))
    client = await bench.client()
    assert client.banner == banner
    assert await client.ended()
    await client.close()
    assert (await bench.ended())[1:] == [
        "ICID 1 REJECT SG BAD match 127.0.0.1 SBRS not enabled country not enabled",
        "ICID 1 close",
    ]


@pytest.mark.parametrize(
    ("changes", "reply"),
    [
        ({}, "550 #5.7.1 Your access to submit messages to this e-mail system has been rejected."),
        (
            {"hat_delayed_reject_code": 551, "hat_delayed_reject_text": "Sender rejected.\nContact us."},
            "551-Sender rejected.\n551 Contact us.",
        ),
    ],
)
async def test_delayed_reject(bench: Bench, changes: dict[str, object], reply: str) -> None:
    limits = attrs.evolve(ListenerGlobals(), hat_delayed_reject=True, **changes)  # type: ignore[arg-type]
    made = public_listener(hat_sender_groups=(group("BAD", "127.0.0.1", behavior=Behavior.REJECT), EVERYONE))
    await bench.start(made, listener_globals=limits)
    client = await bench.client()
    assert client.banner == "220 mail3.example.com ESMTP"
    replies = await client.commands("EHLO a", "MAIL FROM:<a@b.test>", "RCPT TO:<joe@example.com>", "RCPT TO:<x y>", "DATA", "RSET")
    assert replies[1:] == [
        "250 sender <a@b.test> ok",
        reply,
        "501 #5.5.2 syntax error TO:<x y>",
        "503 #5.5.1 RCPT first",
        "250 reset",
    ]
    await client.quit()
    assert (await bench.ended())[1:] == [
        "ICID 1 REJECT SG BAD match 127.0.0.1 SBRS not enabled country not enabled",
        "ICID 1 Delayed HAT REJECT continuing session for recipient logging (127.0.0.1)",
        "ICID 1 close",
    ]
    assert bench.counters.values == {"rejected_recips": 1}


async def test_tcp_refuse_resets_without_an_octet(bench: Bench) -> None:
    await bench.start(public_listener(hat_sender_groups=(group("BAD", "127.0.0.1", behavior=Behavior.TCPREFUSE), EVERYONE)))
    client = await bench.connect()
    with pytest.raises(ConnectionResetError):
        await client.reader.read()
    await client.close()
    assert await bench.ended() == ["ICID 0 TCPREFUSE SG BAD match 127.0.0.1 SBRS None"]
    assert bench.receiver.opened.total == 0


async def test_two_groups_of_one_listener_at_the_same_time(bench: Bench) -> None:
    await bench.start(public_listener(hat_sender_groups=(group("PARTNERS", "127.0.0.2", tls="require"), EVERYONE)))
    partner, other = await bench.client(source="127.0.0.2"), await bench.client(source="127.0.0.3")
    assert (await partner.command("EHLO a")).endswith("250 STARTTLS")
    assert (await other.command("EHLO a")).endswith("250 SIZE 10485760")
    await partner.quit()
    await other.quit()


async def test_the_verified_name_of_a_client_decides(bench: Bench) -> None:
    bench.names.names["127.0.0.1"] = Reverse(name="a.partner.test", verified=True)
    bench.names.names["127.0.0.2"] = Reverse(name="b.partner.test", verified=False)
    made = public_listener(hat_sender_groups=(group("PARTNERS", ".partner.test", behavior=Behavior.REJECT), EVERYONE))
    await bench.start(made)
    verified, unverified = await bench.client(), await bench.client(source="127.0.0.2")
    assert verified.banner.startswith("554-")
    assert unverified.banner.startswith("220 ")
    await verified.close()
    await unverified.quit()


async def test_no_reverse_lookup_without_a_time_for_it(bench: Bench) -> None:
    listener = public_listener()
    await bench.start(listener)
    config = bench.running.config
    bench.running = attrs.evolve(bench.running, config=config.with_(dns=attrs.evolve(config.dns, ptr_timeout=0)))
    client = await bench.client()
    await client.quit()
    assert bench.names.asked == []


async def test_foreign_text_stays_in_one_line(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    client.send(b"EHLO a\x1b[31m\xff\0b\r\n")
    await client.reply()
    client.send(b"MAIL FROM:<a\0b\xe9>\r\n")
    assert await client.reply() == "501 #5.5.2 syntax error FROM:<a?b?>"
    subject = b"Subject: =?utf-8?Q?x=0D=0AInfo:_ICID_99_close?=\r\n\r\n"
    assert await client.deliver(subject, sender="o'neil@b.test") == "250 ok:  Message 1 accepted"
    await client.quit()
    lines = await bench.ended()
    assert "ICID 1 Invalid sender address: FROM:<a\\x00b\\xe9>" in lines
    assert 'MID 1 Subject "x\\x0d\\x0aInfo: ICID 99 close"' in lines
    assert bench.queue.bodies[0].startswith(b"Received: from a?[31m??b ([127.0.0.1])")
    assert all("\n" not in line for line in lines)


async def test_what_the_log_does_not_want_is_not_written(bench: Bench) -> None:
    config = bench.running.config
    globals_ = attrs.evolve(config.log_globals, message_id=False, subject=False)
    await bench.start(public_listener(), log_globals=globals_)
    client = await bench.client()
    await client.command("EHLO a")
    await client.deliver(b"Subject: s\r\nMessage-ID: <it's@b>\r\n\r\n")
    await client.quit()
    assert not [line for line in await bench.ended() if "Subject" in line or "Message-ID" in line]
    bench.configure(public_listener())
    client = await bench.client()
    await client.command("EHLO a")
    await client.deliver(b"Subject: s\r\nMessage-ID: <it's@b>\r\n\r\n")
    await client.quit()
    assert 'MID 2 Message-ID "<it\'s@b>"' in await bench.ended()


async def test_a_message_id_for_incoming_mail_only_when_asked(bench: Bench) -> None:
    await bench.start(public_listener(add_received_header=False))
    for limits in (ListenerGlobals(), ListenerGlobals(add_message_id=True)):
        bench.configure(public_listener(add_received_header=False), listener_globals=limits)
        client = await bench.client()
        await client.command("EHLO a")
        await client.deliver(b"A: b\r\n\r\n")
        await client.deliver(b"Message-ID: <x@y>\r\n\r\n")
        await client.quit()
    assert bench.queue.bodies == [
        b"A: b\r\n\r\n",
        b"Message-ID: <x@y>\r\n\r\n",
        b"Message-ID: <20260306090000.3@mail3.example.com>\r\nA: b\r\n\r\n",
        b"Message-ID: <x@y>\r\n\r\n",
    ]


async def test_smtplib_delivers_a_large_message(bench: Bench) -> None:
    port = await bench.start(private_listener())
    text = "Subject: large\r\n\r\n" + "".join(f".{n} a line of text\r\n.\r\n" for n in range(40000))

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port) as server:
            server.sendmail("a@b.test", ["c@d.test", "e@f.test"], text)

    await asyncio.to_thread(send)
    await bench.ended()
    assert bench.queue.bodies[0].endswith(text.encode())
    assert bench.queue.messages[0].body.spool is not None
    assert bench.queue.messages[0].recipients == ("c@d.test", "e@f.test")
