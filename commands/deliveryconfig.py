"""deliveryconfig: source interface and system-wide limits of outgoing mail (routing.md 4)."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.delivery import DeliverySettings
from appliance_state.model.fields import bounds
from commands.answers import integer
from commands.arguments import Arguments
from commands.dialog import Conversation
from commands.interfaces import pick_row
from commands.menu import Menu
from commands.registry import Command

AUTO = "Auto"


def status_text(config: Config) -> str:
    delivery = config.delivery
    return "\n".join(
        [
            f"Default interface to deliver mail: {delivery.interface}",
            f'"Possible Delivery": {"Enabled" if delivery.possible_delivery else "Disabled"}',
            f"Default system wide maximum outbound message delivery concurrency: {delivery.max_concurrency}",
            f"Default system wide TLS maximum outbound message delivery concurrency: {delivery.tls_max_concurrency}",
        ]
    )


menu: Menu[Session] = Menu(status=lambda session: status_text(session.draft.config))


@menu.operation("SETUP", "Configure mail delivery.")
async def setup(talk: Conversation, session: Session) -> None:
    config = session.draft.config
    old = config.delivery
    sources = [
        (AUTO, AUTO),
        *((interface.name, pick_row(interface)) for interface in config.interfaces.sorted()),
        *((group.name, group.name) for group in config.interface_groups.sorted()),
    ]
    current = next((name for name, _ in sources if name.casefold() == old.interface.casefold()), AUTO)
    changed = DeliverySettings(
        interface=await talk.choose(sources, key="interface", above="Choose the default interface to deliver mail.", default=current),
        possible_delivery=await talk.confirm(
            'Enable "Possible Delivery" (recommended)?', key="possible_delivery", default=old.possible_delivery
        ),
        max_concurrency=await talk.ask(
            "Please enter the default system wide maximum outbound message delivery concurrency.",
            integer(*bounds(DeliverySettings, "max_concurrency")),
            key="max_concurrency",
            default=old.max_concurrency,
        ),
        tls_max_concurrency=await talk.ask(
            "Please enter the default system wide TLS maximum outbound message delivery concurrency.",
            integer(*bounds(DeliverySettings, "tls_max_concurrency")),
            key="tls_max_concurrency",
            default=old.tls_max_concurrency,
        ),
    )
    session.draft.config = session.draft.config.with_(delivery=changed)


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("setup", "print"):
        case "setup":
            options = args.declare(valued=("interface", "possible_delivery", "max_concurrency", "tls_max_concurrency"))
            args.end()
            await setup(talk.answering(options), session)
        case "print":
            args.end()
            talk.show(status_text(session.draft.config))


COMMAND = Command(
    "deliveryconfig",
    "Configure mail delivery.",
    dialog=menu.run,
    batch=_batch,
    needs_commit=True,
    usage="""\
deliveryconfig setup [--interface=<interface>|Auto] [--possible_delivery=yes|no] [--max_concurrency=<n>] [--tls_max_concurrency=<n>]
deliveryconfig print""",
)
