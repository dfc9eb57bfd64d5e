"""EDIT of `ldapconfig`: the menu of one server profile, and its menu SERVER (ldapconfig.md 2)."""

from __future__ import annotations

import attrs
from attrs import define

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.ldap import LdapServer
from appliance_state.table import evolve
from commands.dialog import Conversation, Refused, Rejected
from commands.ldapconfig import questions
from commands.ldapconfig.listing import server_block, unknown_server
from commands.menu import Menu


@define
class EditedServer:
    """A profile of the session's view, by name."""

    session: Session
    name: str

    @property
    def config(self) -> Config:
        return self.session.draft.config

    @property
    def server(self) -> LdapServer:
        """As it is now. Errors: Refused when it has been removed."""
        if self.name not in self.config.ldap.servers:
            raise Refused(unknown_server(self.name))
        return self.config.ldap.servers[self.name]

    def change(self, *, passphrase: bytes | None = None, **fields: object) -> None:
        """Store other fields; a new name is followed. `passphrase`: a new one."""
        changed = evolve(self.server, **fields)
        store_server(self.session, changed, passphrase, old=self.name)
        self.name = changed.name


def store_server(session: Session, server: LdapServer, passphrase: bytes | None, *, old: str | None = None) -> None:
    """Put a profile in the place of `old`, or add it. Errors: Refused when a commit of others has taken the name meanwhile."""
    config = session.draft.config
    servers = config.ldap.servers
    if server.name in servers and (old is None or server.name.casefold() != old.casefold()):
        raise Refused(questions.name_taken(servers[server.name].name))
    if passphrase is not None:
        server = evolve(server, bind_passphrase=session.draft.seal(passphrase))
    servers = servers.put(server) if old is None else servers.replace(old, server)
    session.draft.config = config.with_(ldap=attrs.evolve(config.ldap, servers=servers))


def server_named(session: Session, name: str) -> EditedServer:
    """Errors: Refused."""
    edited = EditedServer(session, name)
    return EditedServer(session, edited.server.name)


async def ask_edited(talk: Conversation, session: Session, what: str) -> EditedServer:
    """Let the operator choose a profile by number or name; `what`: edit or delete."""
    servers = session.draft.config.ldap.servers
    rows = servers.sorted()

    def parse(answer: str) -> str:
        if answer.isascii() and answer.isdigit() and len(answer) < 6 and 1 <= int(answer) <= len(rows):
            return rows[int(answer) - 1].name
        if answer not in servers:
            raise Rejected(unknown_server(answer))
        return servers[answer].name

    question = f"Enter the name or number of the server configuration you wish to {what}:"
    return EditedServer(session, await talk.select(question, parse, key="name", words=[row.name for row in rows]))


def _block(edited: EditedServer) -> str:
    return server_block(edited.server)


menu: Menu[EditedServer] = Menu(status=_block)
server_menu: Menu[EditedServer] = Menu(status=_block)


@menu.operation("SERVER", "Change the server for the query.")
async def server(talk: Conversation, edited: EditedServer) -> None:
    await server_menu.run(talk, edited)


@server_menu.operation("NAME", "Change the name of this configuration.")
async def name(talk: Conversation, edited: EditedServer) -> None:
    edited.change(name=await questions.ask_name(talk, edited.config, edited.server.name))


@server_menu.operation("HOSTNAME", "Change the hostname used for this query.")
async def hostname(talk: Conversation, edited: EditedServer) -> None:
    edited.change(hostnames=await questions.ask_hostnames(talk, edited.server.hostnames))


@server_menu.operation("PORT", "Configure the port.")
async def port(talk: Conversation, edited: EditedServer) -> None:
    edited.change(port=await questions.ask_port(talk, edited.server.port))


@server_menu.operation("SSL", "Configure SSL.")
async def ssl(talk: Conversation, edited: EditedServer) -> None:
    changed = questions.with_ssl(edited.server, await questions.ask_ssl(talk, edited.server.use_ssl))
    edited.change(use_ssl=changed.use_ssl, port=changed.port)


@server_menu.operation("AUTHTYPE", "Choose the authentication type.")
async def authtype(talk: Conversation, edited: EditedServer) -> None:
    current = edited.server
    answered = await questions.ask_credentials(talk, current, current.server_type)
    kept = current.bind_passphrase if answered.bind_user else None
    edited.change(auth_type=answered.auth_type, bind_user=answered.bind_user, bind_passphrase=kept, passphrase=answered.passphrase)


@server_menu.operation("SERVERTYPE", "Choose the server type.")
async def servertype(talk: Conversation, edited: EditedServer) -> None:
    current = edited.server
    chosen = await questions.ask_type(talk, current.server_type)
    user = await questions.fitting_user(talk, chosen, current.bind_user)
    base = await questions.fitting_base(talk, edited.config, chosen, current.base)
    edited.change(server_type=chosen, bind_user=user, base=base)


@server_menu.operation("BASE", "Configure the query base.")
async def base(talk: Conversation, edited: EditedServer) -> None:
    edited.change(base=await questions.ask_base(talk, edited.server.server_type, edited.server.base))
