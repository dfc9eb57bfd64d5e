"""The table of all commands: behind the prompt, `help` and completion."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module

from attrs import define, field, frozen

from appliance_runtime.sessions import Session
from commands.arguments import Arguments
from commands.dialog import Conversation

Dialog = Callable[[Conversation, Session], Awaitable[None]]
Batch = Callable[[Conversation, Session, Arguments], Awaitable[None]]


@frozen
class Command:
    """A command: `dialog` runs it without arguments, `batch` with arguments (None = it has no batch format)."""

    name: str
    summary: str
    dialog: Dialog
    batch: Batch | None = None
    needs_commit: bool = False
    aliases: tuple[str, ...] = ()
    usage: str = ""
    """batch forms, one per line"""
    shown: bool = True
    """whether `help` lists it"""


@define
class Registry:
    """`modules`: by name, where commands are that have not been loaded yet."""

    modules: dict[str, str] = field(factory=dict)
    commands: dict[str, Command] = field(factory=dict)
    aliases: dict[str, Command] = field(factory=dict)

    def add(self, commands: Iterable[Command]) -> None:
        for entry in commands:
            self.commands[entry.name] = entry
            for name in (entry.name, *entry.aliases):
                self.aliases[name] = entry
                self.modules.pop(name, None)

    @property
    def names(self) -> list[str]:
        """All names and aliases."""
        return sorted({*self.aliases, *self.modules})

    def find(self, name: str) -> Command | None:
        """The command of a name in any case."""
        name = name.lower()
        if name in self.modules:
            self._load(self.modules[name])
        return self.aliases.get(name)

    def listed(self) -> list[Command]:
        """Commands by name, as `help` prints them."""
        for module in set(self.modules.values()):
            self._load(module)
        return [self.commands[name] for name in sorted(self.commands) if self.commands[name].shown]

    def _load(self, module: str) -> None:
        loaded = import_module(module)
        self.add(getattr(loaded, "COMMANDS", None) or [loaded.COMMAND])


_SECRET_OPTION = re.compile(r"(--passphrase(?:=|\s+))(\"(?:\\.|[^\"])*\"?|'[^']*'?|[^\s;]+)", re.IGNORECASE)


_URL_PASSPHRASE = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)")


def without_secrets(line: str) -> str:
    """A command line as it may be logged: values of passphrase options, and passphrases in URLs, replaced by asterisks."""
    return _URL_PASSPHRASE.sub(r"\1****", _SECRET_OPTION.sub(r"\1****", line))
