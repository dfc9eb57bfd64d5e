"""The test of an LDAP server over real sockets: the lines of each way to succeed and to fail (ldapconfig.md 4, 6)."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.addresses import parse_rule
from appliance_runtime.ldap_protocol import LARGEST
from appliance_runtime.ldap_test import LdapOutcome, check_ldap
from appliance_state.certificates.pem import read_certificate
from appliance_state.model.certificates import CertificateProfile, KeyMaterial
from appliance_state.model.ldap import LdapAuth, LdapServer
from asyncos_shell.lab.authority import Authority
from tests.support.lab_ca import Issued, issue, issuing, mail_leaf, root
from tests.support.ldap_room import ADDRESS, HOST, Room, room
from tests.support.ldap_server import ENTRY, UNBIND, bound, done, ldap_peer

SECRET = "tr0ub4dor"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Room]:
    async with room(tmp_path) as made:
        yield made


@pytest.fixture
async def hurried(tmp_path: Path) -> AsyncIterator[Room]:
    """Time limits are a fiftieth."""
    async with room(tmp_path, 0.02) as made:
        yield made


def shown(issued: Issued) -> str:
    return f"{issued.certificate.serial_number:06X}"


# -- without TLS ---------------------------------------------------------------------------------------------------------------


async def test_every_line_and_every_octet_without_tls(here: Room) -> None:
    with ldap_peer() as peer:
        here.put(peer, port=389)
        said = await here.test(ssl=False, passphrase=SECRET)
        assert await asyncio.to_thread(peer.ended.wait, 20)
    assert (
        said
        == f"""\
Connecting to {ADDRESS} port 389 from interface IF.
Bind as cn=esa,dc=x: success.
Base dc=x: found."""
    )
    assert here.outcome == LdapOutcome(succeeded=True, cause="")
    bind, search, unbind = peer.requests
    assert SECRET.encode() in bind and b"cn=esa,dc=x" in bind
    assert b"dc=x" in search and b"1.1" in search
    assert unbind == UNBIND


async def test_an_anonymous_bind_and_the_root(here: Room) -> None:
    with ldap_peer() as peer:
        here.put(peer, port=389)
        said = await here.test(ssl=False, base="")
    assert said.endswith("\nBind as anonymous: success.\nBase (root DSE): found.")


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ((bound(49),), "Bind failed: invalidCredentials (49)."),
        ((bound(8),), "Bind failed: strongerAuthRequired (8)."),
        ((bound(99),), "Bind failed: unknown result (99)."),
        ((b"220 smtp.test ESMTP\r\n",), "Bind failed: the reply is not LDAP."),
        ((b"\x30\x84\x7f\xff\xff\xff" + b"x" * LARGEST,), "Bind failed: the reply is not LDAP."),
        ((bound(), done(32)), "Base dc=x: not found (noSuchObject)."),
        ((bound(), done(0)), "Base dc=x: not found (no entry)."),
        ((bound(), done(50)), "Base dc=x: not read (insufficientAccessRights)."),
        ((bound(), bound()), "Base dc=x: not read (the reply is not LDAP)."),
    ],
)
async def test_results(here: Room, answers: tuple[bytes, ...], line: str) -> None:
    with ldap_peer(*answers) as peer:
        here.put(peer, port=389)
        assert await here.fails(ssl=False, passphrase=SECRET) == line


async def test_an_empty_passphrase_is_not_sent(here: Room) -> None:
    with ldap_peer() as peer:
        here.put(peer, port=389)
        line = await here.fails(ssl=False, auth_type=LdapAuth.PASSWORD, bind_user="cn=esa")
        assert await asyncio.to_thread(peer.ended.wait, 20)
    assert line == "Bind failed: the passphrase is empty."
    assert not any(peer.requests)


async def test_an_endless_answer(here: Room) -> None:
    with ldap_peer(bound(), b"", endless=ENTRY * 1000) as peer:
        here.put(peer, port=389)
        assert await here.fails(ssl=False) == "Base dc=x: not read (the reply is not LDAP)."


async def test_a_silent_server(hurried: Room) -> None:
    with ldap_peer(b"") as peer:
        hurried.put(peer, port=389)
        async with asyncio.timeout(10):
            assert await hurried.fails(ssl=False) == "Bind failed: no reply within 10 seconds."


async def test_a_test_that_is_interrupted(here: Room) -> None:
    """The connection does not outlive it."""
    with ldap_peer(b"") as peer:
        here.put(peer, port=389)
        testing = asyncio.create_task(here.test(ssl=False))
        assert await asyncio.to_thread(peer.asked.wait, 20)
        testing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await testing
        assert await asyncio.to_thread(peer.ended.wait, 20)


async def test_a_server_that_closes(here: Room) -> None:
    with ldap_peer(hangs_up=True) as peer:
        here.put(peer, port=389)
        assert await here.fails(ssl=False) == "Bind failed: the server closed the connection."


# -- names and addresses -------------------------------------------------------------------------------------------------------


async def test_hosts_and_addresses_are_tried_in_order(here: Room) -> None:
    here.outside.dns.set("two.example.test A 192.0.2.31")
    here.outside.dns.set("two.example.test A 192.0.2.32")
    with ldap_peer() as peer:
        here.put(None, "192.0.2.31", 389)
        here.put(None, "192.0.2.32", 389)
        here.put(peer, "192.0.2.33", 389)
        said = await here.test(ssl=False, hostnames=("nobody.example.test", "two.example.test", "192.0.2.33", HOST))
    lines = said.splitlines()
    assert lines[0] == "Could not connect to nobody.example.test port 389: the name has no address (NXDomain)."
    assert sorted(lines[1:5]) == sorted(
        line
        for address in ("192.0.2.31", "192.0.2.32")
        for line in (
            f"Connecting to {address} port 389 from interface IF.",
            f"Could not connect to {address} port 389: Connection refused.",
        )
    )
    assert lines[5:] == ["Connecting to 192.0.2.33 port 389 from interface IF.", "Bind as anonymous: success.", "Base dc=x: found."]


async def test_an_address_of_the_other_family(here: Room) -> None:
    here.outside.dns.set("six.example.test AAAA 2001:db8::20")
    with ldap_peer() as peer:
        here.world.appliance.address_map.rules.append(parse_rule(f"[2001:db8::20]:389=127.0.0.1:{peer.port}"))
        for host in ("six.example.test", "2001:db8::20"):
            said = await here.test(ssl=False, hostnames=(host,))
            assert said.startswith("Connecting to 2001:db8::20 port 389 from interface IF.\nBind as anonymous: success.\n")


async def test_nobody_connects(here: Room) -> None:
    here.put(None, port=389)
    assert await here.fails(ssl=False, hostnames=("none.example.test", HOST)) == (
        f"Could not connect to {ADDRESS} port 389: Connection refused."
    )


async def test_an_address_that_does_not_answer(hurried: Room) -> None:
    """A full backlog takes no connection and refuses none."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        hurried.world.appliance.address_map.rules.append(parse_rule(f"{ADDRESS}:389=127.0.0.1:{port}"))
        async with asyncio.timeout(10):
            line = await hurried.fails(ssl=False)
        for one in waiting:
            one.close()
    assert line == f"Could not connect to {ADDRESS} port 389: Connection timed out."


async def test_the_source_is_that_of_the_ldap_interface(here: Room) -> None:
    config = here.world.appliance.running()[1]
    data = evolve(config.interfaces["Management"], name="Data", ipv4="127.0.0.5", ssh_port=None, http_port=None, https_port=None)
    await here.world.configure(interfaces=config.interfaces.put(data))
    with ldap_peer() as peer:
        here.put(peer, port=389)
        await here.set_ldap(interface="Data")
        appliance, said = here.world.appliance, list[str]()
        server = LdapServer(name="L", hostnames=(HOST,))
        assert (await check_ldap(appliance, appliance.live(), server, "", said.append)).succeeded
    assert said[0] == f"Connecting to {ADDRESS} port 389 from interface 127.0.0.5."
    assert peer.clients == ["127.0.0.5"]


# -- LDAPS: our certificate ----------------------------------------------------------------------------------------------------


async def test_every_line_with_tls(here: Room) -> None:
    await here.use_profile(mail_leaf(), issuing())
    await here.set_ldap(validate_server_certificate=True)
    with ldap_peer(identity=here.identity(), verify=ssl.CERT_REQUIRED, trusted=[root().pem]) as peer:
        here.put(peer)
        said = await here.test(passphrase=SECRET)
    assert (
        said
        == f"""\
Connecting to {ADDRESS} port 636 from interface IF.
TLS connection established: protocol TLSv1.3, cipher TLS_AES_256_GCM_SHA384.
Client certificate: requested, sent "mail.example.com" (serial {shown(mail_leaf())}).
Server certificate: CN={HOST}, verification successful.
Bind as cn=esa,dc=x: success.
Base dc=x: found."""
    )
    assert peer.chains == [[mail_leaf().certificate.serial_number, issuing().certificate.serial_number]]
    assert peer.names == [HOST]


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_asks_for_no_certificate(here: Room, newest: ssl.TLSVersion) -> None:
    with ldap_peer(identity=here.identity(), newest=newest) as peer:
        here.put(peer)
        said = await here.test()
    assert here.outcome == LdapOutcome(succeeded=True, cause="")
    assert f"\nClient certificate: not requested.\nServer certificate: CN={HOST}, not verified.\n" in said
    assert peer.chains == [[]]


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_demo_certificate_without_a_choice(here: Room, newest: ssl.TLSVersion) -> None:
    demo = here.world.appliance.demo.certificate
    serial = read_certificate(demo).serial_number
    with ldap_peer(identity=here.identity(), verify=ssl.CERT_REQUIRED, trusted=[demo], newest=newest) as peer:
        here.put(peer)
        said = await here.test()
    assert peer.chains == [[serial]]
    assert f'\nClient certificate: requested, sent "Demo" (serial {serial:0{len(f"{serial:x}") + len(f"{serial:x}") % 2}X}).\n' in said


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_wants_a_certificate_of_another_authority(here: Room, newest: ssl.TLSVersion) -> None:
    await here.use_profile(mail_leaf(), issuing())
    other = issue("Other Root", authority=True)
    with ldap_peer(identity=here.identity(), verify=ssl.CERT_REQUIRED, trusted=[other.pem], newest=newest) as peer:
        here.put(peer)
        said = await here.test(passphrase=SECRET)
    assert said.endswith("""
Client certificate: requested, refused by the server (tlsv1 alert unknown ca).
TLS negotiation failed: tlsv1 alert unknown ca.""")
    assert here.outcome == LdapOutcome(succeeded=False, cause="TLS negotiation failed: tlsv1 alert unknown ca")
    assert not peer.requests


async def test_a_server_that_closes_instead_of_an_alert(here: Room) -> None:
    demo = here.world.appliance.demo.certificate
    with ldap_peer(identity=here.identity(), verify=ssl.CERT_REQUIRED, trusted=[demo], hangs_up=True) as peer:
        here.put(peer)
        said = await here.test()
    assert re.search(
        r"""
Client certificate: requested, sent "Demo" \(serial [0-9A-F]+\)\.
Server certificate: CN=ldap\.example\.test, not verified\.
Bind failed: the server closed the connection; it may have refused the client certificate\.$""",
        said,
    )


async def test_a_profile_that_is_replaced(here: Room) -> None:
    """The next test presents the new certificate with its new intermediates."""
    new_authority = issue("Second Issuing CA", root(), authority=True)
    new = issue("mail.example.com", new_authority)
    with ldap_peer(identity=here.identity(), verify=ssl.CERT_REQUIRED, trusted=[root().pem]) as peer:
        here.put(peer)
        await here.use_profile(mail_leaf(), issuing())
        await here.test()
        await here.use_profile(new, new_authority)
        said = await here.test()
    assert f"(serial {shown(new)})" in said
    assert peer.chains[1] == [new.certificate.serial_number, new_authority.certificate.serial_number] != peer.chains[0]


async def test_a_profile_that_is_only_pending(here: Room) -> None:
    with ldap_peer(identity=here.identity(), verify=ssl.CERT_REQUIRED, trusted=[root().pem]) as peer:
        here.put(peer)
        draft = here.world.admin.session.draft
        reference = draft.seal(mail_leaf().key_pem.encode())
        material = KeyMaterial(certificate=mail_leaf().pem, private_key=reference, intermediates=(issuing().pem,))
        draft.config = draft.config.with_(
            certificates=draft.config.certificates.put(CertificateProfile(name="new", material=material)),
            ldap=evolve(draft.config.ldap, certificate="new"),
        )
        snapshot = await here.world.appliance.pending(draft)
        server = LdapServer(name="L", hostnames=(HOST,), port=636, use_ssl=True)
        said: list[str] = []
        assert (await check_ldap(here.world.appliance, snapshot, server, "", said.append)).succeeded
    assert peer.chains == [[mail_leaf().certificate.serial_number, issuing().certificate.serial_number]]


# -- LDAPS: the server's certificate -------------------------------------------------------------------------------------------


async def test_no_tls_at_all_at_the_other_end(here: Room) -> None:
    with ldap_peer(b"220 smtp.test ESMTP\r\n") as peer:
        here.put(peer)
        assert await here.fails() == "TLS negotiation failed: wrong version number."


async def test_methods_are_those_of_outgoing_tls(here: Room) -> None:
    config = here.world.appliance.running()[1]
    await here.world.configure(ssl=evolve(config.ssl, outbound_methods=frozenset({"tlsv1_3"})))
    with ldap_peer(identity=here.identity(), newest=ssl.TLSVersion.TLSv1_2) as peer:
        here.put(peer)
        assert await here.fails() == "TLS negotiation failed: tlsv1 alert protocol version."


async def test_a_handshake_that_stops(hurried: Room) -> None:
    with ldap_peer(b"") as peer:
        hurried.put(peer)
        async with asyncio.timeout(10):
            assert await hurried.fails() == "TLS negotiation failed: timeout."


@pytest.mark.parametrize("host", [HOST, ADDRESS])
async def test_a_wrong_name(here: Room, host: str) -> None:
    identity = here.identity("other.example.test")
    with ldap_peer(identity=identity) as peer:
        here.put(peer)
        assert "not verified" in await here.test(hostnames=(host,))
        await here.set_ldap(validate_server_certificate=True)
        line = await here.fails(hostnames=(host,), passphrase=SECRET)
        assert line == f"Server certificate: CN={HOST}, verification failed: name mismatch: presented other.example.test."
    assert not any(SECRET.encode() in request for request in peer.requests)
    assert peer.names == ([HOST, HOST] if host == HOST else [None, None])


@pytest.mark.parametrize(
    ("names", "host"),
    [(["*.example.test"], HOST), ([ADDRESS], ADDRESS), (["x.test", ADDRESS, "LDAP.example.TEST"], HOST)],
)
async def test_right_names(here: Room, names: list[str], host: str) -> None:
    await here.set_ldap(validate_server_certificate=True)
    with ldap_peer(identity=here.identity(*names)) as peer:
        here.put(peer)
        assert "verification successful" in await here.test(hostnames=(host,))


async def test_the_common_name_counts_without_other_names(here: Room) -> None:
    await here.set_ldap(validate_server_certificate=True)
    identity = here.outside.root.issue(here.outside.now, common_name=HOST)
    with ldap_peer(identity=identity) as peer:
        here.put(peer)
        assert "verification successful" in await here.test()


async def test_an_authority_that_is_not_listed(here: Room) -> None:
    await here.set_ldap(validate_server_certificate=True)
    strange = Authority.root("Strange Root", here.outside.now)
    middle = strange.intermediate("Strange Issuing CA", here.outside.now)
    with ldap_peer(identity=middle.issue(here.outside.now, common_name=HOST, dns_names=[HOST])) as peer:
        here.put(peer)
        line = f"Server certificate: CN={HOST}, verification failed: untrusted issuer CN=Strange Root."
        assert await here.fails() == line
        config = here.world.appliance.running()[1]
        authorities = evolve(config.certificate_authorities, custom_list=(strange.pem,))
        await here.world.configure(certificate_authorities=authorities)
        assert "verification successful" in await here.test()


async def test_a_certificate_that_has_expired(here: Room) -> None:
    await here.set_ldap(validate_server_certificate=True)
    with ldap_peer(identity=here.identity(days=1, starts=timedelta(days=-3))) as peer:
        here.put(peer)
        line = await here.fails()
    assert re.fullmatch(rf"Server certificate: CN={HOST}, verification failed: expired on \w+ \w+ +\d+ [\d:]+ \d{{4}} \w+\.", line), line


@pytest.mark.parametrize("validate", [False, True])
async def test_the_optional_checks(here: Room, validate: bool) -> None:
    await here.set_ldap(validate_server_certificate=validate)
    config = here.world.appliance.running()[1]
    await here.world.configure(ssl=evolve(config.ssl, peer_cert_fqdn=True))
    with ldap_peer(identity=here.identity(HOST, "ldap")) as peer:
        here.put(peer)
        assert await here.fails() == (
            f'Server certificate: CN={HOST}, verification failed: name "ldap" is not a fully qualified domain name (dNSName).'
        )
