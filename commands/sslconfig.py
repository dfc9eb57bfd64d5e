"""sslconfig: protocol versions, ciphers and renegotiation of TLS, optional checks of peer certificates (tls-tools.md 1).

Not here: SSL v2 and v3, and the cluster operations.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.ciphers import OUTGOING_LEVEL, SERVER_LEVEL, selected, usable
from appliance_state.model.tls_settings import (
    LONGEST_CIPHERS,
    METHODS,
    TLS_SERVICES,
    Service,
    SslSettings,
    gap_problem,
    method_value,
    ordered,
    service_title,
)
from commands.answers import text
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused, Rejected
from commands.menu import Menu
from commands.registry import Command

METHOD_QUESTION = "Enter the {} ssl method you want to use."
CIPHER_QUESTION = "Enter the {} ssl cipher you want to use."
RENEGOTIATION_QUESTION = "Would you like to enable TLS Renegotiation for {}?"
VERIFY_QUESTION = "Enter the ssl cipher you want to verify."
OTHER_CLIENT_QUESTION = "Do you want to enable TLS v1.0 for other client services?"
WITH_RENEGOTIATION: tuple[Service, ...] = ("gui", "inbound")
_SEPARATORS = re.compile(r"[:, ]+")


def selects_nothing(ciphers: str) -> str:
    return f'The cipher string "{ciphers}" selects no cipher.'


def status_text(settings: SslSettings) -> str:
    lines = ["sslconfig settings:"]
    for service in TLS_SERVICES:
        lines += [
            f"  {service_title(service)} method:  {method_value(settings.methods(service))}",
            f"  {service_title(service)} ciphers:",
            *(f"        {element}" for element in _SEPARATORS.split(settings.ciphers(service)) if element),
        ]
    for title, enabled in (
        ("GUI HTTPS TLS Renegotiation", settings.gui_renegotiation),
        ("Inbound SMTP TLS Renegotiation", settings.inbound_renegotiation),
        ("Other TLS Client Services TLS v1.0", settings.other_client_tlsv10),
        ("Peer Certificate FQDN Validation", settings.peer_cert_fqdn),
        ("Peer Certificate X509 Validation", settings.peer_cert_x509),
    ):
        lines.append(f"  {title}: {'Enabled' if enabled else 'Disabled'}")
    return "\n".join(lines)


def _settings(session: Session) -> SslSettings:
    return session.draft.config.ssl


def _store(session: Session, **changes: Any) -> None:
    session.draft.config = session.draft.config.with_(ssl=evolve(_settings(session), **changes))


# -- operations -----------------------------------------------------------------------------------------------------------

menu: Menu[Session] = Menu(status=lambda session: status_text(_settings(session)))


async def edit(talk: Conversation, session: Session, *, service: Service) -> None:
    """Methods and ciphers of a service; where we are the server, renegotiation too."""
    name, settings = TLS_SERVICES[service], _settings(session)
    methods = frozenset(
        await talk.choose_many(
            list(METHODS.items()),
            key="methods",
            above=METHOD_QUESTION.format(name),
            default=ordered(settings.methods(service)),
            check=_without_gap,
        )
    )
    changes: dict[str, object] = {f"{service}_methods": methods, f"{service}_ciphers": await _ciphers(talk, settings, service, methods)}
    if service in WITH_RENEGOTIATION:
        changes[f"{service}_renegotiation"] = await talk.confirm(
            RENEGOTIATION_QUESTION.format(name), key="renegotiation", default=getattr(settings, f"{service}_renegotiation")
        )
    _store(session, **changes)


def _without_gap(methods: list[str]) -> None:
    if problem := gap_problem(frozenset(methods)):
        raise Rejected(problem)


async def _ciphers(talk: Conversation, settings: SslSettings, service: Service, methods: frozenset[str]) -> str:
    """A string that selects a cipher. The present one may do so no longer with other methods, so the default is looked at too."""
    level = OUTGOING_LEVEL if service == "outbound" else SERVER_LEVEL
    question = CIPHER_QUESTION.format(TLS_SERVICES[service])
    while True:
        ciphers = await talk.ask(question, text(LONGEST_CIPHERS), key="ciphers", default=settings.ciphers(service))
        if usable(ciphers, methods, level):
            return ciphers
        if talk.batch:
            raise Rejected(selects_nothing(ciphers))
        talk.fail(selects_nothing(ciphers))


menu.operation("GUI", "Edit GUI HTTPS ssl settings.")(functools.partial(edit, service="gui"))
menu.operation("INBOUND", "Edit Inbound SMTP ssl settings.")(functools.partial(edit, service="inbound"))
menu.operation("OUTBOUND", "Edit Outbound SMTP ssl settings.")(functools.partial(edit, service="outbound"))


@menu.operation("VERIFY", "Verify and show ssl cipher list.")
async def verify(talk: Conversation, session: Session) -> None:
    ciphers = await talk.ask(VERIFY_QUESTION, text(LONGEST_CIPHERS), key="ciphers")
    lines = selected(ciphers)
    if not lines:
        raise Refused(selects_nothing(ciphers))
    talk.show("\n".join(lines))


@menu.operation("OTHER_CLIENT_TLSV10", "Edit TLS v1.0 for other client services.")
async def other_client(talk: Conversation, session: Session) -> None:
    enabled = await talk.confirm(OTHER_CLIENT_QUESTION, key="enable", default=_settings(session).other_client_tlsv10)
    _store(session, other_client_tlsv10=enabled)


def _check_menu(field: str, check: str) -> Menu[Session]:
    """The sub-menu of an optional check: the one word that applies, which acts at once."""

    def enabled(session: Session) -> bool:
        return bool(getattr(_settings(session), field))

    async def switch(talk: Conversation, session: Session) -> None:
        _store(session, **{field: not enabled(session)})

    submenu: Menu[Session] = Menu()
    submenu.operation("ENABLE", f"Enable peer certificate {check} validation", when=lambda session: not enabled(session))(switch)
    submenu.operation("DISABLE", f"Disable peer certificate {check} validation", when=enabled)(switch)
    return submenu


for _field, _check in (("peer_cert_fqdn", "FQDN"), ("peer_cert_x509", "X509")):
    menu.operation(_field.upper(), f"Validate peer certificate {_check} compliance for Alert Over TLS, Outbound SMTP, updater and LDAP.")(
        _check_menu(_field, _check).run
    )


# -- batch ----------------------------------------------------------------------------------------------------------------


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    operation = args.operation(*TLS_SERVICES, "verify", "other_client_tlsv10", "peer_cert_fqdn", "peer_cert_x509", "print")
    match operation:
        case "gui" | "inbound" | "outbound":
            options = args.declare(valued=("methods", "ciphers", *(("renegotiation",) if operation in WITH_RENEGOTIATION else ())))
            args.end()
            if "methods" in options:
                options["methods"] = _named_methods(options["methods"])
            await edit(talk.answering(options), session, service=operation)
        case "verify":
            ciphers = args.word("string")
            args.end()
            await verify(talk.answering({"ciphers": ciphers}), session)
        case "print":
            args.end()
            talk.show(status_text(_settings(session)))
        case _:
            word = args.operation("enable", "disable")
            args.end()
            _store(session, **{operation: word == "enable"})


def _named_methods(value: str) -> str:
    """Methods by their names; numbers belong to the dialog."""
    names = [name.strip().lower() for name in value.split(",")]
    for name in names:
        if name not in METHODS:
            raise Rejected(f'"{name}" is not a TLS method.')
    return ",".join(names)


COMMAND = Command(
    "sslconfig",
    "Configure SSL settings.",
    dialog=menu.run,
    batch=_batch,
    needs_commit=True,
    usage="""\
sslconfig gui|inbound [--methods=<method>[,<method>...]] [--ciphers=<string>] [--renegotiation=yes|no]
sslconfig outbound [--methods=<method>[,<method>...]] [--ciphers=<string>]
sslconfig verify <string>
sslconfig other_client_tlsv10|peer_cert_fqdn|peer_cert_x509 enable|disable
sslconfig print""",
)
