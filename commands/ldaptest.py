"""ldaptest: a real connection to a server of the committed configuration; ldapflush, which finds nothing to flush (ldapconfig.md 4, 5).

There are no LDAP queries, so nothing else can be tested and nothing is cached.
"""

from __future__ import annotations

from appliance_runtime.ldap_test import check_ldap
from appliance_runtime.sessions import Session
from appliance_state.model.ldap import LdapServer
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused
from commands.ldapconfig.listing import NO_SERVERS, places, unknown_server
from commands.registry import Command


async def ldaptest(talk: Conversation, session: Session) -> None:
    servers = session.appliance.live().config.ldap.servers
    if not servers:
        raise Refused(NO_SERVERS)
    rows = [(server, server.name) for server in servers.sorted()]
    server = await talk.choose(rows, key="server", above="Select which LDAP server to test:", default=rows[0][0])
    talk.gap()
    await _test(talk, session, server)


async def _ldaptest_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    name = args.word("name")
    args.end()
    servers = session.appliance.live().config.ldap.servers
    if name not in servers:
        raise Refused(unknown_server(name))
    await _test(talk, session, servers[name])


async def _test(talk: Conversation, session: Session, server: LdapServer) -> None:
    talk.unrecorded = 0  # Ctrl-C is a way out that loses nothing
    appliance = session.appliance
    ssl = ", SSL" if server.use_ssl else ""
    talk.say(f"Testing {server.name} ({', '.join(server.hostnames)} port {server.port}{ssl})")
    passphrase = "" if server.bind_passphrase is None else appliance.vault.reveal(server.bind_passphrase).decode()
    outcome = await check_ldap(appliance, appliance.live(), server, passphrase, talk.say)
    where = {"server": server.name, "places": places(server)}
    if outcome.succeeded:
        appliance.logs.event("system.ldap_test_succeeded", **where)
        talk.say(f"LDAP test succeeded for {server.name}.")
    else:
        appliance.logs.event("system.ldap_test_failed", **where, cause=outcome.cause)
        talk.fail(f"LDAP test failed for {server.name}.")


async def ldapflush(talk: Conversation, session: Session) -> None:
    talk.show("There are no cached LDAP entries.")


COMMANDS = (
    Command("ldaptest", "Test the connection to an LDAP server.", dialog=ldaptest, batch=_ldaptest_batch, usage="ldaptest <name>"),
    Command("ldapflush", "Flush cached LDAP entries.", dialog=ldapflush),
)
