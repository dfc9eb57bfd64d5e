"""NEW of `listenerconfig` (listenerconfig.md 3)."""

from __future__ import annotations

import attrs

from appliance_runtime.sessions import Session
from appliance_state.model.interfaces import DEMO
from appliance_state.model.listeners import Listener, ListenerType, new_listener
from commands.answers import integer
from commands.dialog import Conversation, Refused
from commands.listenerconfig.binding import NO_INTERFACES, ask_binding, new_name
from commands.listenerconfig.hosts import sources
from commands.listenerconfig.listings import parameters_block
from commands.listenerconfig.parameters import HOURLY, ask_parameters
from commands.listenerconfig.recipients import FORMS, addresses

EXAMPLES = {ListenerType.PUBLIC: "InboundMail", ListenerType.PRIVATE: "OutboundMail", ListenerType.BLACKHOLE: "BlackHole"}
ACCEPTED = f"""\
Enter the domain names or specific email addresses you want to accept mail for.

{FORMS}
Separate multiple addresses with commas."""
RELAYED = """\
Please specify the systems allowed to relay email through the appliance.
Hostnames such as "example.com" are allowed.
Partial hostnames such as ".example.com" are allowed.
IP addresses, IP address ranges, and partial IP addresses are allowed.
Separate multiple entries with commas."""
RATE_LIMITING = """\
Do you want to enable rate limiting for this listener? (Rate limiting defines the maximum
number of recipients per hour you are willing to receive from a remote domain.)"""


async def ask_new_listener(talk: Conversation, session: Session, certificate: str = DEMO) -> Listener:
    """The listener of the answers; nothing is stored. `certificate` is the one that it will have.

    In batch the answers are type, name, interface, protocol, port, accept, relay and max_rcpts_per_hour.
    """
    config = session.draft.config
    if not config.interfaces:
        raise Refused(NO_INTERFACES)
    types = [(kind.value, kind.label) for kind in ListenerType]
    above = "Please select the type of listener you want to create."
    kind = ListenerType(await talk.choose(types, key="type", above=above, default=ListenerType.PUBLIC.value))
    question = f'Please create a name for this listener (Ex: "{EXAMPLES[kind]}"):'
    name = await talk.ask(question, new_name(config), key="name")
    interface, port = await ask_binding(talk, config)
    accept: tuple[str, ...] = ()
    relay: tuple[str, ...] = ()
    if kind is ListenerType.PUBLIC:
        accept = await talk.ask(ACCEPTED, addresses, key="accept")
    elif kind is ListenerType.PRIVATE:
        relay = await talk.ask(RELAYED, sources, key="relay")
    listener = new_listener(name=name, uid=session.draft.new_id(), kind=kind, interface=interface, port=port, accept=accept, relay=relay)
    listener = attrs.evolve(listener, tls_certificate=certificate)
    if await talk.confirm(RATE_LIMITING, key="rate_limiting", default=False, implied=["max_rcpts_per_hour"]):
        question = "Enter the maximum number of recipients per hour to accept from a remote domain."
        limit = await talk.ask(question, integer(*HOURLY), key="max_rcpts_per_hour")
        listener = attrs.evolve(listener, hat_default=attrs.evolve(listener.hat_default, max_rcpts_per_hour=limit))
    return listener if talk.batch else await _ask_policy(talk, listener)


async def _ask_policy(talk: Conversation, listener: Listener) -> Listener:
    """Show the default policy parameters and let them be changed."""
    talk.show(parameters_block(listener))
    if await talk.confirm("Would you like to change the default host access policy?", key="change_policy", default=False):
        parameters = await ask_parameters(talk, listener.hat_default, certificate=listener.tls_certificate)
        listener = attrs.evolve(listener, hat_default=parameters)
        talk.show(parameters_block(listener))
    return listener


async def new(talk: Conversation, session: Session) -> None:
    listener = await ask_new_listener(talk, session)
    store_new(session, listener)
    talk.show(
        f"Listener {listener.name} created.\n"
        f"Defaults have been set for a {listener.type.label} listener.\n"
        "Use the listenerconfig->EDIT command to customize the listener."
    )


def store_new(session: Session, listener: Listener) -> None:
    """Errors: Refused when another session has committed a listener of that name meanwhile."""
    config = session.draft.config
    if listener.name in config.listeners:
        raise Refused(f'A listener named "{listener.name}" already exists.')
    session.draft.config = config.with_(listeners=config.listeners.put(listener))
