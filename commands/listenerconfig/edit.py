"""EDIT of `listenerconfig`: the summary, the menu of one listener, and its menu SETUP (listenerconfig.md 4)."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.model.fields import bounds
from appliance_state.model.listeners import CleanSmtp, Listener, ListenerType
from commands.answers import domain, integer
from commands.bounceconfig import new_profile
from commands.certificate_choice import choose_certificate
from commands.dialog import Cancelled, Conversation, Refused
from commands.listenerconfig.binding import NO_INTERFACES, ask_binding, new_name
from commands.listenerconfig.domain_map import menu as domain_map_menu
from commands.listenerconfig.edited import EditedListener, ask_listener
from commands.listenerconfig.hostaccess import menu as host_access_menu
from commands.listenerconfig.listings import summary
from commands.listenerconfig.masquerade import menu as masquerade_menu
from commands.listenerconfig.recipients import menu as recipients_menu
from commands.menu import Menu

menu: Menu[EditedListener] = Menu(status=lambda edited: "\n".join(summary(edited.config, edited.listener)))
setup_menu: Menu[EditedListener] = Menu()


async def edit(talk: Conversation, session: Session) -> None:
    await menu.run(talk, await ask_listener(talk, session, "Enter the name or number of the listener you wish to edit."))


def has_recipients(edited: EditedListener) -> bool:
    return edited.listener.type is ListenerType.PUBLIC


def has_domain_map(edited: EditedListener) -> bool:
    return edited.listener.type is not ListenerType.BLACKHOLE


@menu.operation("NAME", "Change the name of the listener.")
async def name(talk: Conversation, edited: EditedListener) -> None:
    question = 'Please create a name for this listener (Ex: "InboundMail"):'
    edited.change(name=await talk.ask(question, new_name(edited.config, edited.name), key="name", default=edited.name))


@menu.operation("INTERFACE", "Change the interface.")
async def interface(talk: Conversation, edited: EditedListener) -> None:
    listener = edited.listener
    if not edited.config.interfaces:
        raise Refused(NO_INTERFACES)
    chosen, port = await ask_binding(talk, edited.config, besides=listener.name, interface=listener.interface, current_port=listener.port)
    edited.change(interface=chosen, port=port)


@menu.operation("CERTIFICATE", "Choose the certificate.")
async def certificate(talk: Conversation, edited: EditedListener) -> None:
    edited.change(tls_certificate=await choose_certificate(talk, edited.session, current=edited.listener.tls_certificate))


@menu.operation("LIMITS", "Change the injection limits.")
async def limits(talk: Conversation, edited: EditedListener) -> None:
    listener = edited.listener
    connections = await talk.ask(
        "Please enter the maximum number of concurrent connections allowed for this listener.",
        integer(*bounds(Listener, "max_concurrency")),
        key="max_concurrency",
        default=listener.max_concurrency,
    )
    queue = await talk.ask(
        "Please enter the TCP listen queue size.",
        integer(*bounds(Listener, "listen_queue_size")),
        key="listen_queue_size",
        default=listener.listen_queue_size,
    )
    edited.change(max_concurrency=connections, listen_queue_size=queue)


@menu.operation("SETUP", "Configure general options.")
async def setup(talk: Conversation, edited: EditedListener) -> None:
    await setup_menu.run(talk, edited)


@menu.operation("HOSTACCESS", "Modify the Host Access Table.")
async def host_access(talk: Conversation, edited: EditedListener) -> None:
    await host_access_menu.run(talk, edited)


@menu.operation("RCPTACCESS", "Modify the Recipient Access Table.", when=has_recipients)
async def recipients(talk: Conversation, edited: EditedListener) -> None:
    await recipients_menu.run(talk, edited)


@menu.operation("BOUNCECONFIG", "Choose the bounce profile to use for messages injected on this listener.", when=has_domain_map)
async def bounce_profile(talk: Conversation, edited: EditedListener) -> None:
    config = edited.config
    profiles = config.bounce_profiles.entries()
    rows: list[tuple[str | None, str]] = [*((profile.name, profile.name) for profile in profiles), (None, "New Profile")]
    current = config.bounce_profiles.get(edited.listener.bounce_profile)
    name = await talk.choose(
        rows, key="bounce_profile", above="Please choose a bounce profile to apply:", default=current.name if current else None
    )
    if name is not None:
        edited.change(bounce_profile=name)
        return
    created = await new_profile(talk, config)
    config = edited.config  # somebody may have changed it meanwhile
    edited.change_config(config.with_(bounce_profiles=config.bounce_profiles.put(created)), bounce_profile=created.name)


@menu.operation("MASQUERADE", "Configure the Domain Masquerading Table.", when=has_domain_map)
async def masquerade(talk: Conversation, edited: EditedListener) -> None:
    await masquerade_menu.run(talk, edited)


@menu.operation("DOMAINMAP", "Configure domain mappings.", when=has_domain_map)
async def domain_map(talk: Conversation, edited: EditedListener) -> None:
    await domain_map_menu.run(talk, edited)


def default_domain(answer: str) -> tuple[str | None]:
    """A domain in lower case, or None for NONE, as the only element. Errors: Rejected."""
    return (None if answer.lower() == "none" else domain(answer),)


@setup_menu.operation("DEFAULTDOMAIN", "Configure a default domain name.")
async def set_default_domain(talk: Conversation, edited: EditedListener) -> None:
    question = "Enter the default domain to use, or NONE to disable it:"
    current = edited.listener.default_domain
    chosen = await talk.ask(question, default_domain, key="default_domain", default=(current,), shown=current or "")
    edited.change(default_domain=chosen[0])


@setup_menu.operation("RECEIVED", "Set whether or not a Received: header is added.")
async def received(talk: Conversation, edited: EditedListener) -> None:
    question = "Would you like to add a Received: header to messages received by this listener?"
    edited.change(add_received_header=await talk.confirm(question, key="received", default=edited.listener.add_received_header))


@setup_menu.operation("CLEANSMTP", "Set whether or not to repair bare CR and LF in messages.")
async def clean_smtp(talk: Conversation, edited: EditedListener) -> None:
    rows = [(choice.value, choice.label) for choice in CleanSmtp]
    above = "How should bare CR and LF characters in messages be handled?"
    chosen = CleanSmtp(await talk.choose(rows, key="clean_smtp", above=above, default=edited.listener.clean_smtp.value))
    question = "Are you sure you want to allow unclean messages?"
    if chosen is CleanSmtp.ALLOW and not await talk.confirm(question, key="sure", default=False):
        raise Cancelled
    edited.change(clean_smtp=chosen)
