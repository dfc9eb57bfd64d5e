"""A live appliance with LDAP servers in its outside world: what a test of one of them says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from attrs import define, evolve

from appliance_runtime.addresses import parse_rule
from appliance_runtime.commit import Author
from appliance_runtime.ldap_test import LdapOutcome, check_ldap
from appliance_state.model.certificates import CertificateProfile, KeyMaterial, SecretRef
from appliance_state.model.ldap import LdapAuth, LdapServer
from asyncos_shell.lab.authority import Identity
from tests.support.lab_ca import Issued
from tests.support.outside import Outside, World, free_port, world

HOST, ADDRESS = "ldap.example.test", "192.0.2.20"


class Reachable(Protocol):
    port: int


@define
class Room:
    world: World
    outcome: LdapOutcome | None = None
    """of the last test"""

    @property
    def outside(self) -> Outside:
        return self.world.outside

    def put(self, peer: Reachable | None, address: str = ADDRESS, port: int = 636) -> None:
        """Where an address of the outside world really is; None = nobody is there."""
        self.put_port(peer.port if peer else free_port(), address, port)

    def put_port(self, real: int, address: str = ADDRESS, port: int = 636) -> None:
        self.world.appliance.address_map.rules.append(parse_rule(f"{address}:{port}=127.0.0.1:{real}"))

    def identity(self, *names: str, **fields: Any) -> Identity:
        return self.outside.root.issue(self.outside.now, common_name=HOST, dns_names=names or (HOST,), **fields)

    async def set_ldap(self, **fields: Any) -> None:
        config = self.world.appliance.running()[1]
        await self.world.configure(ldap=evolve(config.ldap, **fields))

    async def use_profile(self, issued: Issued, *intermediates: Issued, name: str = "mail.example.com") -> None:
        """The LDAP certificate is one of its own."""
        config = self.world.appliance.running()[1]
        reference = SecretRef(f"key-{issued.certificate.serial_number}")
        material = KeyMaterial(certificate=issued.pem, private_key=reference, intermediates=tuple(one.pem for one in intermediates))
        config = config.with_(
            certificates=config.certificates.put(CertificateProfile(name=name, material=material)),
            ldap=evolve(config.ldap, certificate=name),
        )
        await self.world.appliance.change_now(config, {reference: issued.key_pem.encode()}, Author(user="admin", kind="system"))

    async def test(self, *, ssl: bool = True, passphrase: str = "", **fields: Any) -> str:
        """What is said about a server."""
        values: dict[str, Any] = {"hostnames": (HOST,), "port": 636 if ssl else 389, "base": "dc=x"}
        if passphrase:
            values |= {"auth_type": LdapAuth.PASSWORD, "bind_user": "cn=esa,dc=x"}
        values |= fields
        server = LdapServer(name="PublicLDAP", use_ssl=ssl, **values)
        said: list[str] = []
        appliance = self.world.appliance
        self.outcome = await check_ldap(appliance, appliance.live(), server, passphrase, said.append)
        return re.sub(r"from interface [0-9.:]*[0-9]", "from interface IF", "\n".join(said))

    async def fails(self, **fields: Any) -> str:
        """The line that ends a test that fails; it is the cause, too."""
        line = (await self.test(**fields)).rpartition("\n")[2]
        assert self.outcome == LdapOutcome(succeeded=False, cause=line.removesuffix("."))
        return line


@asynccontextmanager
async def room(root_: Path, scale: float = 1.0) -> AsyncIterator[Room]:
    async def prepare(outside: Outside) -> None:
        outside.dns.set(f"{HOST} A {ADDRESS}")

    async with world(root_, prepare, scale=scale) as made:
        yield Room(made)
