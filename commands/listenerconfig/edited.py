"""The listener that a sub-menu of EDIT works on, and how an operator picks a listener or an entry of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from attrs import define

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.listeners import Listener
from commands.dialog import Conversation, Refused, Rejected


def unknown_listener(name: str) -> str:
    return f'There is no listener "{name}".'


@define
class EditedListener:
    """A listener of the session's view, by name."""

    session: Session
    name: str

    @property
    def config(self) -> Config:
        return self.session.draft.config

    @property
    def listener(self) -> Listener:
        """As it is now. Errors: Refused when it has been removed."""
        if self.name not in self.config.listeners:
            raise Refused(unknown_listener(self.name))
        return self.config.listeners[self.name]

    def change(self, **fields: object) -> None:
        """Store other fields; a new name is followed."""
        self.change_config(self.config, **fields)

    def change_config(self, config: Config, **fields: object) -> None:
        """As `change`, together with other parts of the configuration."""
        changed: Listener = attrs.evolve(self.listener, **fields)  # type: ignore[arg-type]
        self.session.draft.config = config.with_(listeners=config.listeners.replace(self.name, changed))
        self.name = changed.name


def listener_named(session: Session, name: str) -> EditedListener:
    """Errors: Refused."""
    listeners = session.draft.config.listeners
    if name not in listeners:
        raise Refused(unknown_listener(name))
    return EditedListener(session, listeners[name].name)


async def ask_listener(talk: Conversation, session: Session, question: str) -> EditedListener:
    """Let the operator choose a listener by number or name."""
    listeners = session.draft.config.listeners
    rows = listeners.sorted()

    def parse(answer: str) -> str:
        if answer.isascii() and answer.isdigit() and len(answer) < 6 and 1 <= int(answer) <= len(rows):
            return rows[int(answer) - 1].name
        if answer not in listeners:
            raise Rejected(unknown_listener(answer))
        return listeners[answer].name

    return EditedListener(session, await talk.select(question, parse, key="listener", words=[row.name for row in rows]))


async def pick(
    talk: Conversation,
    rows: Sequence[str],
    names: Sequence[str],
    *,
    key: str,
    below: str,
    above: str = "",
    check: Callable[[int], None] = lambda _: None,
) -> int:
    """Index of the row that is chosen by number or name; `check` may raise Rejected. No rows: only the question `below`.

    An empty answer cancels the operation.
    """
    numbered = [f"{n}. {row}" for n, row in enumerate(rows, start=1)]
    keys = [name.casefold() for name in names]

    def parse(answer: str) -> int:
        if answer.isascii() and answer.isdigit() and len(answer) < 9 and 1 <= int(answer) <= len(keys):
            index = int(answer) - 1
        elif answer.casefold() in keys:
            index = keys.index(answer.casefold())
        else:
            raise Rejected(f"The value must be an integer from 1 to {len(keys)}.")
        check(index)
        return index

    question = "\n".join([*filter(None, [above]), *numbered, below])
    return await talk.select(question, parse, key=key, words=names)
