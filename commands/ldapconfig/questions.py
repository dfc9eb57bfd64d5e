"""What is asked about a server profile, by NEW in this order and by EDIT one at a time (ldapconfig.md 2).

Two answers depend on the type of the server, which is asked after one of them: only Active Directory takes `user@domain`
as bind user, and only an unknown type has an empty base. Whoever changes the type asks `fitting` afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from appliance_runtime.sessions import Session
from appliance_state.certificates.keys import octets
from appliance_state.certificates.pem import NotReadable
from appliance_state.model import Config
from appliance_state.model.fields import bounds, default_of
from appliance_state.model.ldap import SERVER_NAME, LdapAuth, LdapServer, LdapServerType
from appliance_state.names import HOSTNAME_RULES, is_distinguished_name, is_email, is_hostname
from appliance_state.table import evolve
from commands.answers import integer, ip_address, word
from commands.dialog import BLANK, INVALID, Conversation, Rejected, SyntaxProblem
from commands.ldapconfig.listing import base_text

HOST_RULE = f"The LDAP Server Hostname should be the hostname or IP address of the LDAP server.\n{HOSTNAME_RULES}"
PORT_RULE = "The LDAP Server Port should be an integer from {} to {}."
NAME_RULE = "The name may contain letters, numbers, underscores and hyphens."
DN_RULE = "The value must be a distinguished name. (Ex: dc=example,dc=com)"
DIFFERENT = "The passphrases do not match."
PROPOSED_USER = "cn=Anonymous"
EMPTY_BASE = '""'
KEEP_PASSPHRASE = "Please enter the bind passphrase. Press Enter to leave the passphrase unchanged."

_well_formed = word(SERVER_NAME, NAME_RULE)


@frozen
class Answered:
    """A profile as it was answered. `passphrase`: a new one that is to be sealed; None = that of the profile, or none."""

    server: LdapServer
    passphrase: bytes | None


@frozen
class Credentials:
    """Answers about authentication; `passphrase` as in `Answered`."""

    auth_type: LdapAuth
    bind_user: str
    passphrase: bytes | None


def name_taken(name: str) -> str:
    return f'A server configuration named "{name}" already exists.'


def server_name(config: Config, current: str | None = None) -> Callable[[str], str]:
    """Parser of the name of a profile; `current` is the name that it has now."""

    def parse(answer: str) -> str:
        name = _well_formed(answer)
        if name in config.ldap.servers and (current is None or name.casefold() != current.casefold()):
            raise Rejected(name_taken(config.ldap.servers[name].name))
        return name

    return parse


def hostnames(answer: str) -> tuple[str, ...]:
    """Names and addresses in the order in which they are tried, each once."""
    return tuple(dict.fromkeys(_host(part.strip()) for part in answer.split(",")))


def _host(answer: str) -> str:
    if is_hostname(answer):
        return answer.lower()
    try:
        return ip_address(answer)
    except Rejected:
        raise Rejected(HOST_RULE) from None


def _port(answer: str) -> int:
    low, high = bounds(LdapServer, "port")
    try:
        return integer(low, high)(answer)
    except Rejected:
        raise Rejected(PORT_RULE.format(low, high)) from None


def _distinguished_name(answer: str) -> str:
    if not is_distinguished_name(answer):
        raise Rejected(DN_RULE)
    return answer


def _user_or_name(answer: str) -> str:
    return answer if is_email(answer) else _distinguished_name(answer)


def _base(server_type: LdapServerType) -> Callable[[str], str]:
    def parse(answer: str) -> str:
        return "" if answer == EMPTY_BASE and server_type is LdapServerType.UNKNOWN else _distinguished_name(answer)

    return parse


def proposed_base(config: Config) -> str:
    """`dc=example,dc=com` for the appliance mail3.example.com."""
    return ",".join(f"dc={label}" for label in config.system.hostname.split(".")[1:])


async def ask_name(talk: Conversation, config: Config, current: str | None) -> str:
    question = 'Please create a name for this server configuration (Ex: "PublicLDAP"):'
    return await talk.ask(question, server_name(config, current), key="name", default=current)


async def ask_hostnames(talk: Conversation, current: tuple[str, ...]) -> tuple[str, ...]:
    question = "Please enter the hostname or IP address of the LDAP server. Separate multiple entries with commas."
    return await talk.ask(question, hostnames, key="hostname", default=current or None, shown=", ".join(current))


async def ask_ssl(talk: Conversation, current: bool) -> bool:
    return await talk.confirm("Use SSL to connect to the LDAP server?", key="ssl", default=current)


async def ask_credentials(talk: Conversation, current: LdapServer | None, server_type: LdapServerType | None = None) -> Credentials:
    """`current`: the profile whose passphrase may stay as it is; `server_type`: None = it is asked later."""
    auth_type = await talk.choose(
        [(auth, auth.label) for auth in LdapAuth],
        key="auth",
        above="Select the authentication method to use for this server configuration:",
        default=LdapAuth.ANONYMOUS if current is None else current.auth_type,
    )
    if auth_type is LdapAuth.ANONYMOUS:
        return Credentials(auth_type, "", None)
    parse = _user_or_name if server_type in (None, LdapServerType.ACTIVE_DIRECTORY) else _distinguished_name
    user = await _ask_user(talk, parse, "" if current is None else current.bind_user)
    return Credentials(auth_type, user, await _ask_passphrase(talk, kept=current is not None and current.bind_passphrase is not None))


async def _ask_user(talk: Conversation, parse: Callable[[str], str], current: str) -> str:
    return await talk.ask("Please enter the bind username:", parse, key="user", default=current or PROPOSED_USER)


async def _ask_passphrase(talk: Conversation, *, kept: bool) -> bytes | None:
    """Asked until it is one and was typed twice. `kept`: an empty answer means the stored one (None)."""
    question = KEEP_PASSPHRASE if kept else "Please enter the bind passphrase:"
    while True:
        passphrase = await talk.hidden(f"{question}\n[]>", key="passphrase")
        if not passphrase and kept:
            return None
        if not passphrase and talk.batch:
            raise SyntaxProblem("Missing argument: <passphrase>.")
        try:
            if not passphrase:
                raise Rejected(BLANK)
            secret = _secret(passphrase)
            if not talk.batch and await talk.hidden("Please enter the new passphrase again:\n[]>", key="again") != passphrase:
                raise Rejected(DIFFERENT)
        except Rejected as rejection:
            if talk.batch:
                raise
            talk.fail(str(rejection))
        else:
            return secret


def _secret(passphrase: str) -> bytes:
    try:
        return octets(passphrase)
    except NotReadable:
        raise Rejected(INVALID) from None


async def ask_type(talk: Conversation, current: LdapServerType) -> LdapServerType:
    return await talk.choose(
        [(kind, kind.label) for kind in LdapServerType],
        key="type",
        above="Select the server type to use for this server configuration:",
        default=current,
        aliases=lambda kind: ("ad",) if kind is LdapServerType.ACTIVE_DIRECTORY else (),
    )


async def ask_port(talk: Conversation, proposed: int) -> int:
    return await talk.ask("Please enter the port number:", _port, key="port", default=proposed)


async def ask_base(talk: Conversation, server_type: LdapServerType, proposed: str) -> str:
    return await talk.ask("Please enter the base:", _base(server_type), key="base", default=proposed, shown=base_text(proposed))


async def fitting_user(talk: Conversation, server_type: LdapServerType, user: str) -> str:
    """The bind user, asked again when a server of this type does not take it."""
    if not user or server_type is LdapServerType.ACTIVE_DIRECTORY or is_distinguished_name(user):
        return user
    if talk.batch:
        raise Rejected(DN_RULE)
    talk.fail(DN_RULE)
    return await _ask_user(talk, _distinguished_name, "")


async def fitting_base(talk: Conversation, config: Config, server_type: LdapServerType, base: str) -> str:
    """The base, asked again when it is empty and a server of this type has none such."""
    if base or server_type is LdapServerType.UNKNOWN:
        return base
    return await ask_base(talk, server_type, proposed_base(config))


def with_ssl(server: LdapServer, use_ssl: bool) -> LdapServer:
    """A standard port moves with the setting, one that was chosen by hand stays."""
    standard = server.port == server.server_type.port(server.use_ssl)
    return evolve(server, use_ssl=use_ssl, port=server.server_type.port(use_ssl) if standard else server.port)


async def ask_server(talk: Conversation, session: Session, current: LdapServer | None) -> Answered:
    """All of it, in the order of NEW. `current`: the profile that a command line changes."""
    config = session.draft.config
    name = await ask_name(talk, config, None if current is None else current.name)
    hosts = await ask_hostnames(talk, () if current is None else current.hostnames)
    use_ssl = await ask_ssl(talk, default_of(LdapServer, "use_ssl") if current is None else current.use_ssl)
    credentials = await ask_credentials(talk, current)
    server_type = await ask_type(talk, default_of(LdapServer, "server_type") if current is None else current.server_type)
    user = await fitting_user(talk, server_type, credentials.bind_user)
    port = await ask_port(talk, server_type.port(use_ssl) if current is None else with_ssl(current, use_ssl).port)
    base = await ask_base(talk, server_type, proposed_base(config) if current is None else current.base)
    return Answered(
        LdapServer(
            name=name,
            hostnames=hosts,
            port=port,
            use_ssl=use_ssl,
            auth_type=credentials.auth_type,
            bind_user=user,
            bind_passphrase=None if current is None or not user else current.bind_passphrase,
            server_type=server_type,
            base=await fitting_base(talk, config, server_type, base),
        ),
        credentials.passphrase,
    )
