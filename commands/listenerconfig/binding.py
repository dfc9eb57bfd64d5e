"""Where a listener listens and what it is called: questions that NEW and EDIT share (listenerconfig.md 3, 4)."""

from __future__ import annotations

from collections.abc import Callable

from appliance_state.model import Config
from appliance_state.model.listeners import LISTENER_NAME
from commands.answers import port, word
from commands.dialog import Conversation, Rejected
from commands.interfaces import check_port_for_listener, pick_row, until_valid

NO_INTERFACES = "There are no IP interfaces. Use interfaceconfig to create one."

_well_formed = word(
    LISTENER_NAME,
    "The listener name must start with a letter or underscore and may contain letters, numbers, underscores, hyphens and periods.",
)


def new_name(config: Config, current: str | None = None) -> Callable[[str], str]:
    """Parser of the name of a listener; `current` is the name that it has now."""

    def parse(answer: str) -> str:
        name = _well_formed(answer)
        if name in config.listeners and (current is None or name.casefold() != current.casefold()):
            raise Rejected(f'A listener named "{config.listeners[name].name}" already exists.')
        return name

    return parse


async def ask_binding(
    talk: Conversation, config: Config, *, besides: str = "", interface: str | None = None, current_port: int = 25
) -> tuple[str, int]:
    """Interface and port. `besides`: name of the listener itself; `interface`: the current one.

    In batch the answers are `interface`, `protocol` and `port`.
    """
    rows = [(entry.name, pick_row(entry)) for entry in config.interfaces.sorted()]
    default = rows[0][0] if interface is None else config.interfaces[interface].name if interface in config.interfaces else None
    chosen = await talk.choose(rows, key="interface", above="Please choose an IP interface for this Listener.", default=default)
    await talk.choose([("smtp", "SMTP")], key="protocol", above="Choose a protocol.", default="smtp")
    question = "Please enter the TCP port for this listener."
    number = await until_valid(
        talk,
        lambda: talk.ask(question, port, key="port", default=current_port),
        lambda number: check_port_for_listener(config, chosen, number, besides=besides),
    )
    return chosen, number
