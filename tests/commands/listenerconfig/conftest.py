"""Sessions with a public, a private and a blackhole listener, and runs of one sub-menu of EDIT."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.certificates import CertificateProfile, KeyMaterial, SecretRef
from appliance_state.model.interfaces import FACTORY_INTERFACE, Interface
from appliance_state.model.listeners import Listener, ListenerType, new_listener
from appliance_state.table import Table
from commands.listenerconfig import COMMAND
from tests.support.appliance import demo_certificate, make_appliance, make_session
from tests.support.terminal import type_dialog

MANAGEMENT = evolve(FACTORY_INTERFACE, hostname="mail3.example.com")
PUBLIC_NET = Interface(name="PublicNet", uid="i-2", ipv4="192.168.2.1", hostname="mail3.example.com")

Within = Callable[..., Awaitable[tuple[str, bool]]]


def _listeners() -> list[Listener]:
    return [
        new_listener(name="InboundMail", uid="l-1", kind=ListenerType.PUBLIC, interface="PublicNet", accept=("example.com", "example.net")),
        new_listener(name="OutboundMail", uid="l-2", kind=ListenerType.PRIVATE, interface="Management", relay=("10.0.0.0/8",)),
        new_listener(name="BlackHole", uid="l-3", kind=ListenerType.BLACKHOLE, interface="Management", port=2525),
    ]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Three listeners; the profiles `mail.example.com` and `partner.com` can be chosen, `without-key` cannot."""
    ref = SecretRef("key")
    material = KeyMaterial(certificate=demo_certificate().certificate, private_key=ref)
    profiles = [CertificateProfile(name=name, material=material) for name in ("partner.com", "mail.example.com")]
    profiles.append(CertificateProfile(name="without-key", material=evolve(material, private_key=None)))
    config = Config().with_(interfaces=Table([MANAGEMENT, PUBLIC_NET]), listeners=Table(_listeners()), certificates=Table(profiles))
    appliance = make_appliance(config, tmp_path)
    appliance.vault.values[ref] = demo_certificate().private_key
    return make_session(appliance=appliance)


@pytest.fixture
def empty_session() -> Session:
    """Two interfaces and no listener."""
    return make_session(Config().with_(interfaces=Table([MANAGEMENT, PUBLIC_NET])))


@pytest.fixture
def within(session: Session) -> Within:
    """Run `word` of EDIT with answers and leave all menus; (transcript from the sub-menu's first block on, failed).

    A last answer that ends the dialog (Ctrl-C) is given as `last`.
    """

    async def run(word: str, *answers: str, listener: str = "InboundMail", last: str | None = None, up: int = 3) -> tuple[str, bool]:
        ending = [last] if last is not None else [""] * up
        transcript, failed = await type_dialog(COMMAND.dialog, session, ["edit", listener, word, *answers, *ending])
        return transcript.split(f"[]> {word}\n", 1)[1], failed

    return run


@pytest.fixture
def inbound(session: Session) -> Callable[[], Listener]:
    """The public listener as the session sees it."""
    return lambda: session.draft.config.listeners["InboundMail"]
