"""daneverify: a line for every finding, and the verdict of DANE Mandatory (tls-tools.md 3, 6)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from appliance_state.model.dns import DnssecMode
from appliance_state.model.routes import RouteHost, SmtpRoute
from appliance_state.table import Table
from asyncos_shell.lab.zone_signing import Signing
from tests.support.outside import Outside, World, world

D, MX1, MX2 = "d.test", "mx1.d.test", "mx2.d.test"
BAD = bytes(32).hex()
END_OK, END_BAD = f"DANE SUCCESS for {D}\nDANE verification completed.\n", f"DANE FAILED for {D}\nDANE verification completed.\n"

Prepare = Callable[[Outside], Any]


async def verify(made: World, line: str = f"daneverify {D}") -> tuple[list[str], bool]:
    """(lines, whether it succeeded)."""
    output, failed = await made.admin.batch(line)
    assert output.endswith(END_BAD if failed else END_OK), output
    return re.sub(r"from interface [0-9.]*[0-9]", "from interface IF", output).splitlines()[:-2], not failed


def zones(outside: Outside) -> None:
    outside.dns.zone(D)
    outside.dns.zone("plain.test", signed=False)
    outside.dns.zone("bogus.test", signing=Signing(delegation="wrong-key"))


async def host(
    outside: Outside, number: int = 1, *, mx_of: str = D, tlsa: str | None = "3 1 1", data: str | None = None, **fields: Any
) -> None:
    name = f"mx{number}.d.test"
    fields.setdefault("identity", outside.own(name))
    await outside.peer(name, f"127.0.10.{10 + number}", mx_of=mx_of, preference=10 * number, **fields)
    if tlsa is not None:
        outside.tlsa(name, tlsa, data=data)


def scene(*hosts: dict[str, Any]) -> Prepare:
    async def prepare(outside: Outside) -> None:
        zones(outside)
        for number, fields in enumerate(hosts, start=1):
            await host(outside, number, **fields)

    return prepare


def connected(number: int = 1) -> list[str]:
    address = f"127.0.10.{10 + number}"
    return [
        f"SECURE MX record(mx{number}.d.test) found for {D}",
        f"SECURE A record ({address}) found for MX(mx{number}.d.test) in {D}",
        f"Connecting to {address} on port 25.",
        f"Connected to {address} from interface IF.",
    ]


def tls(number: int = 1) -> list[str]:
    return [
        f"SECURE TLSA record found for MX(mx{number}.d.test) in {D}",
        "Checking TLS connection.",
        "TLS connection established: protocol TLSv1.3, cipher TLS_AES_256_GCM_SHA384.",
    ]


GOOD = ["Certificate verification successful", f"TLS connection succeeded {D}."]


async def test_success_line_by_line(tmp_path: Path) -> None:
    async with world(tmp_path, scene({})) as made:
        lines, succeeded = await verify(made)
        assert succeeded and lines == [*connected(), *tls(), *GOOD]
        peer = made.outside.peers[MX1]
        assert peer.visits[0].commands == ["EHLO", "STARTTLS", "EHLO", "QUIT"]
        assert not [text for text in made.place.lines("mail_logs") if "DCID" in text]


async def test_the_dialog(tmp_path: Path) -> None:
    async with world(tmp_path, scene({})) as made:
        screen = await made.admin.type("daneverify", D, "")
        assert screen.startswith(
            f"""\
Enter the DANE domain to verify against:
[]> {D}

Do you want to display the TLSA records and how they compare? [N]> \n
SECURE MX record(mx1.d.test) found for d.test
"""
        )
        assert screen.endswith(END_OK)


async def test_no_domain(tmp_path: Path) -> None:
    async with world(tmp_path, scene()) as made:
        output, failed = await made.admin.batch("daneverify nodomain")
        assert failed and output.startswith("A valid domain name is a string that must match the following rules:\n")


async def test_the_next_exchanger_succeeds(tmp_path: Path) -> None:
    async with world(tmp_path, scene({"data": BAD}, {})) as made:
        lines, succeeded = await verify(made)
        assert succeeded
        assert lines[:7] == [*connected(), *tls()]
        assert re.fullmatch(
            r"Certificate verification failed: no TLSA record of mx1\.d\.test matches the certificate \(presented 3 1 1 [0-9a-f]{8}…[0-9a-f]{4}\)",
            lines[7],
        )
        assert lines[8:] == [f"TLS connection failed {D}: verify error.", f"Trying next MX record in {D}", *connected(2), *tls(2), *GOOD]


@pytest.mark.parametrize(
    ("fields", "fault", "line"),
    [
        ({"tlsa": None}, None, f"No TLSA record found for MX({MX1})"),
        ({"tlsa": "3 1 99", "data": BAD}, None, f"TLSA records of MX({MX1}) in {D} are unusable"),
        ({}, "bogus", f"BOGUS TLSA record found for MX({MX1}) in {D}"),
        ({}, "servfail", f"TLSA lookup for MX({MX1}) in {D} failed: ServFail"),
        ({}, "refused", f"TLSA lookup for MX({MX1}) in {D} failed: Refused"),
    ],
)
async def test_records_that_do_not_serve(tmp_path: Path, fields: dict[str, Any], fault: Any, line: str) -> None:
    async def prepare(outside: Outside) -> None:
        await scene(fields)(outside)
        if fault:
            outside.dns.fault(f"_25._tcp.{MX1}", "TLSA", fault)

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made)
        assert not succeeded and lines == [*connected(), line]
        assert made.outside.peers[MX1].visits[0].commands == []


async def test_insecure_records(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        await scene({"tlsa": None})(outside)
        outside.dns.set(f"_25._tcp.{MX1} CNAME tlsa.plain.test.")
        outside.dns.set(f"tlsa.plain.test TLSA 3 1 1 {BAD}")

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made)
        assert not succeeded and lines == [*connected(), f"INSECURE TLSA record found for MX({MX1}) in {D}"]


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        ("no-starttls", "STARTTLS command not supported"),
        ("starttls-454", "STARTTLS unexpected response '454 4.7.0 TLS not available'"),
        ("220-then-garbage", "wrong version number"),
        ("banner-554", "554 5.7.1 no service for you"),
    ],
)
@pytest.mark.parametrize("details", [False, True])
async def test_no_tls(tmp_path: Path, behaviour: str, text: str, details: bool) -> None:
    async with world(tmp_path, scene({"behaviour": behaviour})) as made:
        lines, succeeded = await verify(made, f"daneverify {D}{' --details' if details else ''}")
        compared = [line for line in lines if line.endswith(": not compared")]
        assert len(compared) == details
        assert not succeeded
        assert [line for line in lines if line not in compared] == [*connected(), *tls()[:2], f"TLS connection failed {D}: {text}."]


async def test_details(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        zones(outside)
        await host(outside, identity=outside.root.issue(outside.now, common_name="other.test"), tlsa=None)
        for form, data in (("3 1 1", BAD), ("3 1 99", "00"), ("1 0 1", None), ("2 0 1", BAD), ("3 0 1", None)):
            outside.tlsa(MX1, form, data=data)

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made, f"daneverify {D} --details")
        assert succeeded
        assert lines[:5] == [*connected(), tls()[0]] and lines[10:] == [*tls()[1:], *GOOD]
        shown = {line.split()[1] + line.split()[2] + line.split()[3]: line.split(": ", 1)[1] for line in lines[5:10]}
        assert shown == {
            "311": "no match",
            "3199": "unusable",
            "101": "match, but hostname mismatch (expected mx1.d.test, d.test; presented CN=other.test) (usage 1 is not recommended for SMTP)",
            "201": "no match",
            "301": "match",
        }


async def test_details_of_unusable_records_and_of_weaker_digests(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        await scene({}, {"tlsa": "3 1 99", "data": "00"})(outside)
        outside.tlsa(MX1, "3 1 2", data=bytes(64).hex())

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made, f"daneverify {D} --details")
        assert not succeeded
        assert "TLSA 3 1 2 0000000000000000…000000: no match" in lines
        assert [line for line in lines if line.endswith(": not used, a stronger digest is published")]
        assert lines[-2:] == [f"TLSA records of MX({MX2}) in {D} are unusable", "TLSA 3 1 99 00: unusable"]


async def test_insecure_addresses(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        zones(outside)
        await outside.peer("mx.plain.test", "127.0.10.11", mx_of=D)
        outside.tlsa("mx.plain.test")

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made)
        assert not succeeded
        assert lines == [
            f"SECURE MX record(mx.plain.test) found for {D}",
            f"INSECURE A record (127.0.10.11) found for MX(mx.plain.test) in {D}",
        ]
        assert made.outside.peers["mx.plain.test"].visits == []


async def test_an_alias_into_an_unsigned_zone(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        zones(outside)
        peer = await outside.peer("mx.plain.test", "127.0.10.11")
        outside.peers[MX1] = peer
        outside.dns.set(f"{D} MX 10 {MX1}.")
        outside.dns.set(f"{MX1} CNAME mx.plain.test.")
        outside.tlsa(MX1)

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made)
        assert succeeded
        assert lines == [
            connected()[0],
            f"INSECURE A record (127.0.10.11) found for MX({MX1}) in {D}",
            f"SECURE CNAME record found for MX({MX1}) in {D}",
            *connected()[2:],
            *tls(),
            *GOOD,
        ]
        assert made.outside.peers[MX1].visits[0].sni == MX1


@pytest.mark.parametrize(
    ("faults", "line"),
    [
        ([("A", "bogus"), ("AAAA", "nodata")], f"BOGUS A record found for MX({MX1}) in {D}"),
        ([("A", "servfail"), ("AAAA", "nodata")], f"A lookup for MX({MX1}) in {D} failed: ServFail"),
        ([("A", "nodata"), ("AAAA", "nodata")], f"No A record found for MX({MX1}) in {D}"),
    ],
)
async def test_addresses_that_do_not_serve(tmp_path: Path, faults: list[tuple[str, Any]], line: str) -> None:
    async def prepare(outside: Outside) -> None:
        await scene({}, {})(outside)
        for kind, fault in faults:
            outside.dns.fault(MX1, kind, fault)

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made)
        assert succeeded
        assert lines == [connected()[0], line, f"Trying next MX record in {D}", *connected(2), *tls(2), *GOOD]


async def test_the_next_address_succeeds(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        await scene({})(outside)
        outside.nobody("[2001:db8::9]")
        outside.dns.set(f"{MX1} AAAA 2001:db8::9")

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made)
        assert succeeded
        assert lines == [
            connected()[0],
            f"SECURE AAAA record (2001:db8::9) found for MX({MX1}) in {D}",
            "Connecting to 2001:db8::9 on port 25.",
            "Failed to connect to 2001:db8::9: Connection refused.",
            f"Trying next A record (127.0.10.11) for MX({MX1}) in {D}",
            *connected()[1:],
            *tls(),
            *GOOD,
        ]


# the MX record


@pytest.mark.parametrize(
    ("fault", "lines"),
    [
        ("bogus", [f"BOGUS MX record found for {D}"]),
        ("servfail", [f"MX lookup for {D} failed: ServFail"]),
        ("refused", [f"MX lookup for {D} failed: Refused"]),
    ],
)
async def test_mx_record_that_does_not_serve(tmp_path: Path, fault: Any, lines: list[str]) -> None:
    async def prepare(outside: Outside) -> None:
        await scene({})(outside)
        outside.dns.fault(D, "MX", fault)

    async with world(tmp_path, prepare) as made:
        assert await verify(made) == (lines, False)


async def test_domains_without_mail(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        zones(outside)
        outside.dns.set("null.d.test MX 0 .")

    async with world(tmp_path, prepare) as made:
        for domain, line in (
            ("null.d.test", "The domain null.d.test does not accept mail (null MX)."),
            ("nosuch.d.test", "The domain nosuch.d.test does not exist."),
        ):
            output, failed = await made.admin.batch(f"daneverify {domain}")
            assert failed and output == f"{line}\nDANE FAILED for {domain}\nDANE verification completed.\n"


async def test_a_domain_that_is_its_own_host(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        zones(outside)
        await outside.peer(D, "127.0.10.11")
        outside.tlsa(D)

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made)
        assert succeeded
        assert lines[:2] == [
            f"No MX record found for {D} (SECURE). The domain itself is used as host.",
            f"SECURE A record (127.0.10.11) found for MX({D}) in {D}",
        ]


async def test_an_insecure_mx_record_before_a_signed_host(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        zones(outside)
        await host(outside, 1, mx_of="plain.test", data=BAD)
        await host(outside, 2, mx_of="plain.test")

    async with world(tmp_path, prepare) as made:
        output, failed = await made.admin.batch("daneverify plain.test")
        lines = output.splitlines()
        assert failed
        assert lines[:2] == [
            "INSECURE MX record(mx1.d.test) found for plain.test",
            "INSECURE MX record found. The command will still proceed.",
        ]
        assert lines.count("INSECURE MX record found. The command will still proceed.") == 1
        assert lines[-5:] == [
            "Certificate verification successful",
            "TLS connection succeeded plain.test.",
            "The MX record of plain.test is insecure: DANE Opportunistic uses this host, DANE Mandatory does not.",
            "DANE FAILED for plain.test",
            "DANE verification completed.",
        ]


# settings


async def test_without_dnssec(tmp_path: Path) -> None:
    async with world(tmp_path, scene({})) as made:
        await made.configure(dns=evolve(made.appliance.running()[1].dns, dnssec_mode=DnssecMode.OFF))
        lines, succeeded = await verify(made)
        assert not succeeded
        assert lines == [
            "NOTE: DNSSEC is not available with the present DNS settings (see dnsconfig).",
            f"INSECURE MX record({MX1}) found for {D}",
            "INSECURE MX record found. The command will still proceed.",
            f"INSECURE A record (127.0.10.11) found for MX({MX1}) in {D}",
        ]


async def test_routes(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        zones(outside)
        await outside.peer("relay.d.test", "127.0.10.11", port=2525)
        outside.tlsa("relay.d.test", port=2525)
        await outside.peer("mx1.d.test", "127.0.10.12", mx_of="plain.test")

    def route(*hosts: RouteHost, special: Any = None) -> Table[SmtpRoute]:
        return Table([SmtpRoute(domain=D, hosts=hosts, special=special)])

    async with world(tmp_path, prepare) as made:
        await made.configure(smtp_routes=route(RouteHost(host="192.0.2.9"), RouteHost(host="relay.d.test", port=2525, priority=1)))
        lines, succeeded = await verify(made)
        assert succeeded
        assert lines[:3] == [
            f"DANE is not possible for {D}: the SMTP route leads to the address 192.0.2.9.",
            f"SECURE A record (127.0.10.11) found for MX(relay.d.test) in {D}",
            "Connecting to 127.0.10.11 on port 2525.",
        ]
        await made.configure(smtp_routes=route(RouteHost(host="plain.test")))
        lines, succeeded = await verify(made)
        assert not succeeded and lines[0] == "INSECURE MX record(mx1.d.test) found for plain.test"
        await made.configure(smtp_routes=route(special="discard"))
        assert await verify(made) == ([f"DANE is not possible for {D}: the SMTP route discards its mail."], False)


async def test_another_port(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        zones(outside)
        await outside.peer(MX1, "127.0.10.11", port=2525, mx_of=D)
        outside.tlsa(MX1, port=2525)

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made, f"daneverify {D} --port=2525")
        assert succeeded and "Connecting to 127.0.10.11 on port 2525." in lines
        output, failed = await made.admin.batch(f"daneverify {D} --port=0")
        assert failed and output == "The value must be an integer from 1 to 65535.\n"


async def test_look_ups_are_fresh(tmp_path: Path) -> None:
    async with world(tmp_path, scene({"data": BAD})) as made:
        assert not (await verify(made))[1]
        made.outside.dns.remove(f"_25._tcp.{MX1}", "TLSA")
        made.outside.tlsa(MX1)
        assert (await verify(made))[1]


async def test_what_is_pending(tmp_path: Path) -> None:
    async with world(tmp_path, scene({})) as made:
        draft = made.admin.session.draft
        draft.config = draft.config.with_(smtp_routes=Table([SmtpRoute(domain=D, hosts=(RouteHost(host="192.0.2.9"),))]))
        assert (await verify(made))[1]
        lines, succeeded = await verify(made, f"daneverify {D} --pending")
        assert (lines, succeeded) == ([f"DANE is not possible for {D}: the SMTP route leads to the address 192.0.2.9."], False)


async def test_a_domain_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance_runtime.delivery.probe.SECONDS", 0.5)

    async def prepare(outside: Outside) -> None:
        zones(outside)
        await host(outside, 1, behaviour="tarpit")
        for number in range(2, 40):
            outside.dns.set(f"{D} MX {number} {MX1}.")

    async with world(tmp_path, prepare) as made:
        lines, succeeded = await verify(made)
        assert not succeeded
        assert lines[-1] == "The verification took too long and was ended."
