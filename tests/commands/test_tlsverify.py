"""tlsverify: the lines of each way to succeed and to fail, against real peers (tls-tools.md 2, 6)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from appliance_state.model.certificates import CertificateAuthorities
from asyncos_shell.lab.peers import Peer
from commands.dialog import Rejected
from commands.probing import host_and_port
from tests.support.outside import Outside, world

HOST, ADDRESS, DOMAIN = "mxe.example.test", "127.0.10.11", "example.test"


async def run(
    tmp_path: Path, line: str, prepare: Callable[[Outside], Any], *, status: bool = True, scale: float = 1.0
) -> tuple[str, Peer | None]:
    async with world(tmp_path, prepare, scale=scale) as made:
        output, failed = await made.admin.batch(line)
        assert failed is not status, output
        return masked(output), made.outside.peers.get(HOST)


def masked(output: str) -> str:
    """Own addresses differ from host to host."""
    return re.sub(r"from interface [0-9.]*[0-9]", "from interface IF", output)


def one(**fields: Any) -> Callable[[Outside], Any]:
    """A single peer; `identity` may be made from the outside world."""

    async def prepare(outside: Outside) -> None:
        made = {name: value(outside) if callable(value) else value for name, value in fields.items()}
        await outside.peer(HOST, ADDRESS, **made)

    return prepare


SUCCESS = f"""\
Connecting to {ADDRESS} on port 25.
Connected to {ADDRESS} from interface IF.
Checking TLS connection.
TLS connection established: protocol TLSv1.3, cipher TLS_AES_256_GCM_SHA384.
Verifying peer certificate.
Verifying certificate common name {HOST}.
TLS certificate match {HOST}
TLS certificate verified.
TLS connection to {ADDRESS} succeeded.

TLS successfully connected to {HOST}.
TLS verification completed.
"""


async def test_success_line_by_line(tmp_path: Path) -> None:
    async with world(tmp_path, one()) as made:
        output, failed = await made.admin.batch(f"tlsverify {DOMAIN} {HOST}")
        assert not failed and masked(output) == SUCCESS
        peer = made.outside.peers[HOST]
        assert peer.visits[0].commands == ["EHLO", "STARTTLS", "EHLO", "QUIT"]
        assert peer.visits[0].sni == HOST
        assert not [query for query in made.outside.dns.queries if query.kind in ("MX", "TLSA")]
        assert not [text for text in made.place.lines("mail_logs") if "DCID" in text]


async def test_the_dialog(tmp_path: Path) -> None:
    async with world(tmp_path, one()) as made:
        screen = await made.admin.type("tlsverify", DOMAIN, f"{HOST}:25")
        assert screen.startswith(
            f"""\
Enter the TLS domain to verify against:
[]> {DOMAIN}

Enter the destination host to connect to.  Append the port (example.com:26) if you
are not connecting on port 25:
[{DOMAIN}]> {HOST}:25

Connecting to {ADDRESS} on port 25.
"""
        )
        assert screen.endswith(SUCCESS.partition("Checking")[2])


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "no-starttls": ({"behaviour": "no-starttls"}, "TLS connection to 127.0.10.11 failed: STARTTLS command not supported."),
    "no-esmtp": (
        {"behaviour": "no-esmtp"},
        "TLS connection to 127.0.10.11 failed: EHLO command not supported '500 5.5.1 command not recognized'.",
    ),
    "454": (
        {"behaviour": "starttls-454"},
        "TLS connection to 127.0.10.11 failed: STARTTLS unexpected response '454 4.7.0 TLS not available'.",
    ),
    "garbage": ({"behaviour": "220-then-garbage"}, "TLS connection to 127.0.10.11 failed: wrong version number."),
    "inject": (
        {"behaviour": "220-then-inject"},
        "TLS connection to 127.0.10.11 failed: unexpected data after the STARTTLS response.",
    ),
    "banner": ({"behaviour": "banner-554"}, "TLS connection to 127.0.10.11 failed: 554 5.7.1 no service for you."),
    "selfsigned": (
        {"identity": lambda outside: outside.own(HOST)},
        f"Certificate verification error: self-signed certificate (CN={HOST}).",
    ),
    "expired": (
        {"identity": lambda outside: outside.root.issue(outside.now, common_name=HOST, days=1, starts=timedelta(days=-2))},
        f"Certificate verification error: certificate has expired (CN={HOST}).",
    ),
    "incomplete": (
        {
            "identity": lambda outside: outside.root.intermediate("Lab Int", outside.now).issue(
                outside.now, common_name=HOST, send_chain=False
            )
        },
        "Certificate verification error: unable to get local issuer certificate (issuer: CN=Lab Int).",
    ),
    "mismatch": (
        {"identity": lambda outside: outside.root.issue(outside.now, common_name="other.test")},
        f"Certificate verification error: hostname mismatch (expected {DOMAIN}, {HOST}; presented CN=other.test).",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failures(tmp_path: Path, name: str) -> None:
    fields, reason = FAILURES[name]
    output, peer = await run(tmp_path, f"tlsverify {DOMAIN} {HOST}", one(**fields), status=False)
    assert f"{reason}\n" in output
    if reason.startswith("Certificate"):
        assert "TLS certificate not verified.\nTLS connection to 127.0.10.11 failed: verify error.\n" in output
    assert output.endswith(f"\n\nTLS connection to {HOST} failed.\nTLS verification completed.\n")
    assert peer is not None and "MAIL" not in peer.visits[0].commands


async def test_nobody_there(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        outside.nobody(ADDRESS)
        outside.dns.set(f"{HOST} A {ADDRESS}")
        outside.dns.fault("broken.test", "A", "servfail")
        outside.dns.fault("broken.test", "AAAA", "servfail")
        outside.dns.set("mail.test MX 10 x.test.")

    async with world(tmp_path, prepare) as made:
        for host, reason in (
            (HOST, f"Connecting to {ADDRESS} on port 25.\nFailed to connect to {ADDRESS}: Connection refused."),
            ("nosuch.test", "Failed to resolve nosuch.test: NXDomain."),
            ("mail.test", "Failed to resolve mail.test: NoData."),
            ("broken.test", "Failed to resolve broken.test: ServFail."),
        ):
            output, failed = await made.admin.batch(f"tlsverify {DOMAIN} {host}")
            assert failed
            assert output == f"{reason}\n\nTLS connection to {host} failed.\nTLS verification completed.\n"


async def test_the_second_address_succeeds(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        outside.nobody("[2001:db8::9]")
        outside.dns.set(f"{HOST} AAAA 2001:db8::9")
        await outside.peer(HOST, ADDRESS)

    output, _ = await run(tmp_path, f"tlsverify {DOMAIN} {HOST}", prepare)
    assert output == f"Connecting to 2001:db8::9 on port 25.\nFailed to connect to 2001:db8::9: Connection refused.\n{SUCCESS}"


async def test_hosted_domains_and_reverse_names(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        issue = outside.root.issue
        await outside.peer(HOST, ADDRESS, identity=issue(outside.now, common_name="zzz.test", dns_names=[HOST]))
        await outside.peer("b.example.test", "127.0.10.12", port=2525, identity=issue(outside.now, common_name="ptr.test"))
        outside.dns.set("12.10.0.127.in-addr.arpa PTR ptr.test.")

    async with world(tmp_path, prepare) as made:
        assert (await made.admin.batch(f"tlsverify {DOMAIN} {HOST}"))[1]
        output, failed = await made.admin.batch(f"tlsverify {DOMAIN} {HOST} --hosted")
        assert not failed and f"TLS certificate match {HOST}\n" in output
        output, failed = await made.admin.batch(f"tlsverify {DOMAIN} b.example.test:2525")
        assert not failed and "Connecting to 127.0.10.12 on port 2525.\n" in output and "TLS certificate match ptr.test\n" in output
        assert (await made.admin.batch(f"tlsverify {DOMAIN} b.example.test:2525 --hosted"))[1]


async def test_an_address_as_host(tmp_path: Path) -> None:
    identity = {"identity": lambda outside: outside.root.issue(outside.now, dns_names=[DOMAIN])}
    output, peer = await run(tmp_path, f"tlsverify {DOMAIN} {ADDRESS}:25", one(**identity))
    assert f"TLS certificate match {DOMAIN}\n" in output and "common name" not in output
    assert output.endswith(f"TLS successfully connected to {ADDRESS}.\nTLS verification completed.\n")
    assert peer is not None and peer.visits[0].sni is None


async def test_the_chain_is_shown(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        intermediate = outside.root.intermediate("Lab Issuing CA", outside.now)
        identity = intermediate.issue(outside.now, common_name=HOST, dns_names=[HOST, "www.example.test"], rsa_bits=2048)
        await outside.peer(HOST, ADDRESS, identity=identity)

    output, peer = await run(tmp_path, f"tlsverify {DOMAIN} {HOST} --chain", prepare)
    assert peer is not None and peer.identity is not None
    digest = peer.identity.certificate.fingerprint(peer.identity.certificate.signature_hash_algorithm).hex(":").upper()  # type: ignore[arg-type]
    end = peer.identity.certificate.not_valid_after_utc.strftime("%a %b %d %H:%M:%S %Y GMT")
    first, second = output.partition("cipher TLS_AES_256_GCM_SHA384.\n")[2].partition("Verifying peer")[0].split("Certificate 2: ")
    assert first == (
        f"Certificate 1: CN={HOST}\n  Issued By:    CN=Lab Issuing CA\n  Valid Until:  {end}\n"
        f"  DNS Names:    {HOST}, www.example.test\n  Key:          RSA 2048 bits\n  SHA-256:      {digest}\n"
    )
    assert second.startswith("CN=Lab Issuing CA\n  Issued By:    CN=Lab Root CA\n")


async def test_what_is_pending_counts_only_when_asked_for(tmp_path: Path) -> None:
    line = f"tlsverify {DOMAIN} {HOST}"
    async with world(tmp_path, one(), trusted=False) as made:
        assert (await made.admin.batch(line))[1]
        draft = made.admin.session.draft
        root = made.outside.root.pem
        draft.config = draft.config.with_(certificate_authorities=CertificateAuthorities(custom_enabled=True, custom_list=(root,)))
        assert (await made.admin.batch(line))[1]
        output, failed = await made.admin.batch(f"{line} --pending")
        assert not failed, output
        await made.configure(certificate_authorities=draft.config.certificate_authorities)
        assert not (await made.admin.batch(line))[1]


async def test_a_pending_configuration_that_cannot_live_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path, one()) as made:
        draft = made.admin.session.draft
        draft.config = draft.config.with_(destination_globals=evolve(draft.config.destination_globals, certificate="nosuch"))
        output, failed = await made.admin.batch(f"tlsverify {DOMAIN} {HOST} --pending")
        assert failed and output.startswith("Error: ")
        assert not (await made.admin.batch(f"tlsverify {DOMAIN} {HOST}"))[1]


async def test_ctrl_c_leaves_at_once_and_without_a_connection(tmp_path: Path) -> None:
    async with world(tmp_path, one(behaviour="handshake-hang")) as made:
        peer = made.outside.peers[HOST]
        running = asyncio.ensure_future(made.admin.batch(f"tlsverify {DOMAIN} {HOST}"))
        async with asyncio.timeout(10):
            while not (peer.visits and "STARTTLS" in peer.visits[0].commands):
                await asyncio.sleep(0.005)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            while peer._sessions:
                await asyncio.sleep(0.005)


async def test_what_hangs_is_ended(tmp_path: Path) -> None:
    output, _ = await run(tmp_path, f"tlsverify {DOMAIN} {HOST}", one(behaviour="handshake-hang"), status=False, scale=0.003)
    assert "TLS connection to 127.0.10.11 failed: timeout.\n" in output


async def test_a_name_with_control_characters_stays_in_its_line(tmp_path: Path) -> None:
    identity = {"identity": lambda outside: outside.root.issue(outside.now, common_name="evil\x1b[2J\nTLS certificate verified.")}
    output, _ = await run(tmp_path, f"tlsverify {DOMAIN} {HOST} --chain", one(**identity), status=False)
    assert "\x1b" not in output and "\nTLS certificate verified." not in output
    assert "Verifying certificate common name evil\\x1b[2J\\x0aTLS certificate verified..\n" in output


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("mx.example.com", ("mx.example.com", 25)),
        ("MX.example.com:2525", ("mx.example.com", 2525)),
        ("192.0.2.1", ("192.0.2.1", 25)),
        ("192.0.2.1:26", ("192.0.2.1", 26)),
        ("2001:db8::1", ("2001:db8::1", 25)),
        ("[2001:db8::1]", ("2001:db8::1", 25)),
        ("[2001:db8::1]:587", ("2001:db8::1", 587)),
    ],
)
def test_hosts(answer: str, expected: tuple[str, int]) -> None:
    assert host_and_port(answer) == expected


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("mailhost", "The address must be a hostname or an IPv4/IPv6 address."),
        ("-x.example.com", "The address must be a hostname or an IPv4/IPv6 address."),
        ("mx.example.com:", "The address must be a hostname or an IPv4/IPv6 address."),
        ("[2001:db8::1", "The address must be a hostname or an IPv4/IPv6 address."),
        ("[2001:db8::1]x", "The address must be a hostname or an IPv4/IPv6 address."),
        ("[mx.example.com]:25", "The address must be a hostname or an IPv4/IPv6 address."),
        ("mx.example.com:0", "The value must be an integer from 1 to 65535."),
        ("mx.example.com:65536", "The value must be an integer from 1 to 65535."),
    ],
)
def test_hosts_that_are_none(answer: str, text: str) -> None:
    with pytest.raises(Rejected) as rejection:
        host_and_port(answer)
    assert str(rejection.value).splitlines()[0] == text
