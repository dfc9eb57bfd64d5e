"""The test of an LDAP server against OpenLDAP: binds, base entries, client certificates (ldapconfig.md 6, items 2, 6, 8)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import evolve

from tests.support.lab_ca import issue, issuing, mail_leaf, root
from tests.support.ldap_room import HOST, Room, room
from tests.support.slapd import BASE, PASSPHRASE, USER, slapd

pytestmark = pytest.mark.e2e


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Room]:
    async with room(tmp_path) as made:
        yield made


async def test_binds_and_bases(here: Room, tmp_path: Path) -> None:
    with slapd(tmp_path / "slapd", here.identity().pem, clients=root().pem) as server:
        here.put_port(server.port, port=389)
        assert (await here.test(ssl=False, base=BASE)).endswith(f"\nBind as anonymous: success.\nBase {BASE}: found.")
        assert (await here.test(ssl=False, base="")).endswith("\nBase (root DSE): found.")
        said = await here.test(ssl=False, base=BASE, passphrase=PASSPHRASE, bind_user=USER)
        assert said.endswith(f"\nBind as {USER}: success.\nBase {BASE}: found.")
        wrong = await here.fails(ssl=False, base=BASE, passphrase="wrong", bind_user=USER)
        assert wrong == "Bind failed: invalidCredentials (49)."
        assert await here.fails(ssl=False, base="cn=x") == "Base cn=x: not found (noSuchObject)."
        assert await here.fails(ssl=False, base=f"ou=none,{BASE}") == f"Base ou=none,{BASE}: not found (noSuchObject)."


@pytest.mark.parametrize("verify", ["never", "allow", "demand"])
async def test_client_certificates(here: Room, tmp_path: Path, verify: str) -> None:
    await here.use_profile(mail_leaf(), issuing())
    await here.set_ldap(validate_server_certificate=True)
    with slapd(tmp_path / "slapd", here.identity().pem, clients=root().pem, verify=verify) as server:
        here.put_port(server.tls_port)
        said = await here.test(base=BASE, passphrase=PASSPHRASE, bind_user=USER)
    shown = (
        "not requested" if verify == "never" else f'requested, sent "mail.example.com" (serial {mail_leaf().certificate.serial_number:06X})'
    )
    assert re.fullmatch(
        rf"""Connecting to \S+ port 636 from interface IF\.
TLS connection established: protocol TLSv1\.3, cipher TLS_\w+\.
Client certificate: {re.escape(shown)}\.
Server certificate: CN={re.escape(HOST)}, verification successful\.
Bind as {USER}: success\.
Base {BASE}: found\.""",
        said,
    ), said


@pytest.mark.parametrize("version", ["tlsv1_2", "tlsv1_3"])
async def test_a_client_certificate_of_another_authority(here: Room, tmp_path: Path, version: str) -> None:
    """OpenLDAP with GnuTLS closes the connection after the handshake, without an alert. It does not trust Demo either."""
    config = here.world.appliance.running()[1]
    await here.world.configure(ssl=evolve(config.ssl, outbound_methods=frozenset({version})))
    other = issue("Other Root", authority=True)
    line = "Bind failed: the server closed the connection; it may have refused the client certificate."
    with slapd(tmp_path / "slapd", here.identity().pem, clients=other.pem, verify="demand") as server:
        here.put_port(server.tls_port)
        assert await here.fails(base=BASE) == line
        await here.use_profile(mail_leaf(), issuing())
        assert await here.fails(base=BASE) == line
