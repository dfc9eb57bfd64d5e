"""certconfig: certificate profiles with their keys, and the lists of trusted authorities (certconfig.md)."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.certificates.banners import banner
from commands.certconfig import authorities, certificate, crl
from commands.certconfig.batch import USAGE, batch
from commands.dialog import Conversation
from commands.menu import Menu
from commands.registry import Command

menu: Menu[Session] = Menu(status=lambda session: banner(session.draft.config))


@menu.operation("CERTIFICATE", "Import, Create a request, Edit or Remove Certificate Profiles")
async def _certificate(talk: Conversation, session: Session) -> None:
    await certificate.menu.run(talk, session)


@menu.operation("CERTAUTHORITY", "Manage System and Customized Authorities")
async def _authority(talk: Conversation, session: Session) -> None:
    await authorities.menu.run(talk, session)


@menu.operation("CRL", "Manage Certificate Revocation Lists")
async def _crl(talk: Conversation, session: Session) -> None:
    await crl.menu.run(talk, session)


COMMAND = Command(
    "certconfig",
    "Configure security certificates and keys.",
    dialog=menu.run,
    batch=batch,
    needs_commit=True,
    usage=USAGE,
)
