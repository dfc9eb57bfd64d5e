"""ldaptest, and the validation of NEW, at a whole appliance against servers on real sockets (ldapconfig.md 2, 4, 6)."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from appliance_runtime.addresses import parse_rule
from asyncos_shell.lab.authority import Authority
from tests.support.lab_ca import Issued, issue, issuing, root
from tests.support.ldap_server import ENTRY, LdapPeer, bound, done, ldap_peer
from tests.support.outside import Outside, World, free_port, world

HOST, ADDRESS = "ldap.example.test", "192.0.2.20"
SECRET = "tr0ub4dor"
NO_ENTRY = (bound(), done(32))
SSL_SERVER = f'ldapconfig new PublicLDAP --hostname={HOST} --ssl=yes --base=dc=x; commit "x" Y'


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async def prepare(outside: Outside) -> None:
        outside.dns.set(f"{HOST} A {ADDRESS}")

    async with world(tmp_path, prepare) as made:
        yield made


def put(here: World, peer: LdapPeer | None, port: int = 636) -> None:
    """Who is at the address of the host; None = nobody."""
    real = peer.port if peer else free_port()
    here.appliance.address_map.rules.append(parse_rule(f"{ADDRESS}:{port}=127.0.0.1:{real}"))


async def lines(here: World, line: str) -> None:
    """Commands that must succeed without a word."""
    await here.admin.done(*(part.strip() for part in line.split(";")))


async def tested(here: World, name: str = "PublicLDAP") -> tuple[str, bool]:
    """Output of `ldaptest`, and whether it succeeded."""
    output, failed = await here.admin.batch(f"ldaptest {name}")
    await asyncio.sleep(0.01)  # a connection that was dropped is closed by the loop, which the end of a peer would hold up
    return re.sub(r"from interface [0-9.]*[0-9]", "from interface IF", output), not failed


def put_profile(here: World, name: str, leaf: Issued, *intermediates: Issued) -> str:
    """Files of a profile in /configuration, and the line that pastes them."""
    folder = here.appliance.files
    (folder / "leaf.pem").write_text(leaf.pem)
    (folder / "leaf.key").write_text(leaf.key_pem)
    (folder / "chain.pem").write_text("".join(one.pem for one in intermediates))
    chain = " --intermediate=chain.pem" if intermediates else ""
    return f"certconfig certificate paste {name} --certificate=leaf.pem --key=leaf.key{chain} --overwrite"


async def test_the_dialog_line_by_line(here: World) -> None:
    await lines(here, f'ldapconfig new B --hostname={HOST} --base=dc=x; ldapconfig new a --hostname=192.0.2.99; commit "x" Y')
    with ldap_peer() as peer:
        put(here, peer, 389)
        screen = await here.admin.type("ldaptest", "b")
    assert re.sub(r"interface [0-9.]*[0-9]", "interface IF", screen) == (
        "Select which LDAP server to test:\n1. a\n2. B\n[1]> b\n\n"
        f"Testing B ({HOST} port 389)\nConnecting to {ADDRESS} port 389 from interface IF.\n"
        "Bind as anonymous: success.\nBase dc=x: found.\nLDAP test succeeded for B.\n"
    )
    assert here.place.lines("system_logs")[-1].endswith(f"Info: LDAP: test of server B ({HOST}:389) succeeded")


async def test_a_failure_makes_the_command_fail_and_has_its_line(here: World) -> None:
    await lines(here, f'ldapconfig new A --hostname={HOST} --user=cn=esa --passphrase={SECRET}; commit "x" Y')
    with ldap_peer(bound(49)) as peer:
        put(here, peer, 389)
        output, succeeded = await tested(here, "a")
        assert SECRET.encode() in peer.requests[0]
    assert not succeeded and output == (
        f"Testing A ({HOST} port 389)\nConnecting to {ADDRESS} port 389 from interface IF.\n"
        "Bind failed: invalidCredentials (49).\nLDAP test failed for A.\n"
    )
    line = f"Warning: LDAP: test of server A ({HOST}:389) failed: Bind failed: invalidCredentials (49)"
    assert here.place.lines("system_logs")[-1].endswith(line)
    assert SECRET not in "".join(here.place.lines("system_logs"))


async def test_only_what_is_committed_is_tested(here: World) -> None:
    assert await here.admin.type("ldaptest") == "No LDAP server configurations.\n"
    unknown = ('There is no server configuration named "PublicLDAP".\n', False)
    assert await tested(here) == unknown
    await lines(here, f"ldapconfig new PublicLDAP --hostname={HOST} --base=dc=x")
    assert await tested(here) == unknown
    with ldap_peer() as peer:
        put(here, peer, 389)
        await here.admin.done('commit "x" Y')
        assert (await tested(here))[1]
        await here.admin.done("ldapconfig delete PublicLDAP")
        assert (await tested(here))[1]
    await here.admin.done('commit "x" Y')
    assert await tested(here) == unknown


async def test_the_next_host_is_tried(here: World) -> None:
    await lines(here, f'ldapconfig new PublicLDAP --hostname=192.0.2.99,{HOST} --base=dc=x; commit "x" Y')
    here.outside.nobody("192.0.2.99", 389)
    here.appliance.address_map.rules.append(parse_rule(here.outside.maps[-1]))
    with ldap_peer() as peer:
        put(here, peer, 389)
        output, succeeded = await tested(here)
    assert succeeded and "Could not connect to 192.0.2.99 port 389: Connection refused.\n" in output
    assert output.startswith(f"Testing PublicLDAP (192.0.2.99, {HOST} port 389)\n")


async def test_the_certificate_is_that_of_setup_from_its_commit_on(here: World) -> None:
    """Demo, then a profile, then another one under the same name, with its intermediates."""
    trusted = root()
    between = issuing()
    first, second = issue("esa.example.test", trusted), issue("esa.example.test", between)
    demo = here.appliance.demo
    identity = here.outside.root.issue(here.outside.now, common_name=HOST, dns_names=[HOST])
    with ldap_peer(identity=identity, verify=ssl.CERT_OPTIONAL, trusted=(trusted.pem, demo.certificate)) as peer:
        put(here, peer)
        await lines(here, SSL_SERVER)
        output, succeeded = await tested(here)
        assert succeeded and 'Client certificate: requested, sent "Demo" (serial ' in output
        await here.admin.done(put_profile(here, "mail", first), "ldapconfig setup --certificate=mail")
        assert 'sent "Demo"' in (await tested(here))[0]
        await here.admin.done('commit "x" Y')
        output, succeeded = await tested(here)
        assert succeeded and f'Client certificate: requested, sent "mail" (serial {serial(first)}).\n' in output
        await here.admin.done(put_profile(here, "mail", second, between), 'commit "x" Y')
        output, succeeded = await tested(here)
        assert succeeded and f'requested, sent "mail" (serial {serial(second)}).\n' in output
    chains = [chain[0] for chain in peer.chains]
    assert chains[1] == chains[0] and chains[2:] == [first.certificate.serial_number, second.certificate.serial_number]
    assert peer.chains[3][:2] == [second.certificate.serial_number, between.certificate.serial_number]


async def test_four_services_four_certificates(tmp_path: Path) -> None:
    """Listener, HTTPS, delivery and LDAP show each its own, at the same time."""
    names = ("receiving", "https", "delivery", "ldap")
    leaves = {name: issue(f"{name}.example.test", root()) for name in names}

    async def prepare(outside: Outside) -> None:
        outside.dns.set(f"{HOST} A {ADDRESS}")
        await outside.peer("mx.example.test", "192.0.2.25", client_anchors=[root().pem])

    async with world(tmp_path, prepare) as here:
        for name, leaf in leaves.items():
            await here.admin.done(put_profile(here, name, leaf))
        await here.admin.done(
            "listenerconfig new InboundMail public Management smtp --accept=a.test --certificate=receiving",
            "listenerconfig edit InboundMail hostaccess default --tls=preferred",
            "interfaceconfig edit Management --certificate=https",
            "destconfig setup --certificate=delivery",
            "ldapconfig setup --certificate=ldap",
            *SSL_SERVER.split("; "),
        )
        identity = here.outside.root.issue(here.outside.now, common_name=HOST, dns_names=[HOST])
        with ldap_peer(identity=identity, verify=ssl.CERT_OPTIONAL, trusted=(root().pem,)) as peer:
            put(here, peer)
            assert (await tested(here))[1]
        assert (await here.admin.batch("tlsverify mx.example.test mx.example.test"))[1] is False
        delivered = here.outside.peers["mx.example.test"].visits[0].client_certificate
        assert delivered is not None
        seen = {
            "receiving": await shown_by(here.place.port("InboundMail"), starttls=True),
            "https": await shown_by(here.place.port("Management", "https")),
            "delivery": x509.load_der_x509_certificate(delivered).serial_number,
            "ldap": peer.chains[0][0],
        }
    assert seen == {name: leaf.certificate.serial_number for name, leaf in leaves.items()}


async def shown_by(port: int, *, starttls: bool = False) -> int:
    """Serial of the certificate that a service of the appliance shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=None if starttls else context)
    if starttls:
        await reader.readline()
        writer.write(b"HELO a\r\n")
        await reader.readline()
        writer.write(b"STARTTLS\r\n")
        assert (await reader.readline()).startswith(b"220 ")
        await writer.start_tls(context)
    leaf = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(leaf).serial_number


def serial(issued: Issued) -> str:
    text = f"{issued.certificate.serial_number:X}"
    return text.zfill(len(text) + len(text) % 2)


async def test_certificates_that_are_not_wanted(here: World) -> None:
    await lines(here, SSL_SERVER)
    identity = here.outside.root.issue(here.outside.now, common_name=HOST, dns_names=[HOST])
    with ldap_peer(identity=identity) as peer:
        put(here, peer)
        output, succeeded = await tested(here)
    assert succeeded and "Client certificate: not requested.\n" in output and peer.chains == [[]]
    with ldap_peer(identity=identity, verify=ssl.CERT_REQUIRED, trusted=(root().pem,)) as peer:
        put(here, peer)
        output, succeeded = await tested(here)
    assert not succeeded
    assert re.search(r"Client certificate: requested, refused by the server \(.*unknown ca.*\)\.\nTLS negotiation failed: ", output)
    assert output.endswith("\nLDAP test failed for PublicLDAP.\n")


async def test_validation_begins_with_its_commit(here: World) -> None:
    """Off: anything passes. On: an authority that is not listed, then listed; a wrong name."""
    other = Authority.root("Directory CA", here.outside.now)
    good, wrong = (other.issue(here.outside.now, common_name=name, dns_names=[name]) for name in (HOST, "other.example.test"))
    await lines(here, SSL_SERVER)

    async def outcome(identity: object) -> str:
        with ldap_peer(identity=identity) as peer:  # type: ignore[arg-type]
            put(here, peer)
            output, succeeded = await tested(here)
        (line,) = re.findall(r"^Server certificate: .*", output, re.M)
        return f"{'passes' if succeeded else 'fails'}: {line}"

    assert await outcome(wrong) == "passes: Server certificate: CN=other.example.test, not verified."
    await here.admin.done("ldapconfig setup --validate=yes")
    assert (await outcome(good)).startswith("passes")
    await here.admin.done('commit "x" Y')
    failed = await outcome(good)
    assert failed.startswith(f"fails: Server certificate: CN={HOST}, verification failed: ") and "Directory CA" in failed
    (here.appliance.files / "directory.pem").write_text(other.pem)
    await here.admin.done("certconfig certauthority custom import directory.pem --append", 'commit "x" Y')
    assert await outcome(good) == f"passes: Server certificate: CN={HOST}, verification successful."
    failed = await outcome(wrong)
    assert failed.startswith("fails: ") and "other.example.test" in failed


NEW = ("new", "PublicLDAP", HOST, "", "", "", "", "dc=x")
WAITING = "Connect to LDAP server to validate setting? [Y]> \n\nConnecting to the LDAP server, please wait...\n"
BLOCK = f"Name: PublicLDAP\nHostname: {HOST} Port 389\n"


async def test_new_validates_before_it_is_committed(here: World) -> None:
    with ldap_peer() as peer:
        put(here, peer, 389)
        screen = await here.admin.type("ldapconfig", *NEW, "", "")
    assert f"{WAITING}LDAP test succeeded for PublicLDAP.\n\n{BLOCK}" in screen
    assert here.admin.session.draft.changed and len(peer.requests) > 1


@pytest.mark.parametrize(("answer", "saved"), [("", True), ("y", True), ("n", False)])
async def test_new_asks_what_to_do_with_a_server_that_fails(here: World, answer: str, saved: bool) -> None:
    with ldap_peer(*NO_ENTRY) as peer:
        put(here, peer, 389)
        screen = await here.admin.type("ldapconfig", *NEW, "", answer, "")
    question = f"Do you want to save this server configuration anyway? [Y]> {answer}\n\n"
    after = BLOCK if saved else "No LDAP server configurations.\n"
    assert f"{WAITING}Base dc=x: not found (noSuchObject).\n\n{question}{after}" in screen
    assert here.admin.session.draft.changed is saved


async def test_new_uses_the_pending_settings_and_its_own_passphrase(here: World) -> None:
    """The certificate of SETUP is not committed yet."""
    trusted = root()
    leaf = issue("esa.example.test", trusted)
    await here.admin.done(put_profile(here, "mail", leaf), "ldapconfig setup --certificate=mail")
    identity = here.outside.root.issue(here.outside.now, common_name=HOST, dns_names=[HOST])
    with ldap_peer(identity=identity, verify=ssl.CERT_REQUIRED, trusted=(trusted.pem,)) as peer:
        put(here, peer)
        answers = ("new", "A", HOST, "y", "2", "cn=esa", SECRET, SECRET, "", "", "dc=x", "", "")
        screen = await here.admin.type("ldapconfig", *answers)
    assert "\nLDAP test succeeded for A.\n" in screen and SECRET not in screen
    assert peer.chains == [[leaf.certificate.serial_number]] and SECRET.encode() in peer.requests[0]


async def test_new_says_why_the_pending_configuration_cannot_be_used(here: World) -> None:
    await here.admin.done("ldapconfig setup --interface=Management")
    draft = here.admin.session.draft
    draft.config = draft.config.with_(interfaces=draft.config.interfaces.without("Management"))
    screen = await here.admin.type("ldapconfig", *NEW, "", "n", "")
    error = 'Error: The LDAP settings use the interface "Management", which does not exist.\n'
    assert f"{WAITING}{error}" in screen and "anyway? [Y]> n\n" in screen


async def test_a_silent_server_does_not_stop_the_session(tmp_path: Path) -> None:
    async def prepare(outside: Outside) -> None:
        outside.dns.set(f"{HOST} A {ADDRESS}")

    async with world(tmp_path, prepare, scale=0.02) as here:
        await lines(here, f'ldapconfig new PublicLDAP --hostname={HOST} --base=dc=x; commit "x" Y')
        with ldap_peer(b"") as peer:
            put(here, peer, 389)
            async with asyncio.timeout(20):
                output, succeeded = await tested(here)
        assert not succeeded and "Bind failed: " in output
        assert (await here.admin.batch("ldapconfig list"))[1] is False


async def test_the_passphrase_that_is_stored_is_used(here: World) -> None:
    await lines(here, f'ldapconfig new PublicLDAP --hostname={HOST} --user=cn=esa --passphrase=0ld --base=dc=x; commit "x" Y')
    with ldap_peer(bound(), ENTRY + done()) as peer:
        put(here, peer, 389)
        await here.admin.done(f"ldapconfig edit PublicLDAP --passphrase={SECRET}")
        assert (await tested(here))[1] and b"0ld" in peer.requests[0]
    await here.admin.done('commit "x" Y')
    with ldap_peer() as peer:
        put(here, peer, 389)
        assert (await tested(here))[1] and SECRET.encode() in peer.requests[0]
