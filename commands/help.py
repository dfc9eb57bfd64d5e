"""help, h, ?: every command with its summary, or the attributes and batch forms of one (conventions.md 12)."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused
from commands.registry import Command, Registry

NAME_WIDTH = 24
MACHINE_MODE_ONLY = frozenset({"displayalerts", "interfaceconfig", "resetcounters", "rollbackconfig", "sethostname", "status", "tail"})


def unknown(name: str) -> str:
    """What is said about a command that does not exist."""
    return f"Unknown command or missing feature key: {name}"


def overview(registry: Registry) -> str:
    """One line for each command, by name."""
    return "\n".join(f"{command.name:<{NAME_WIDTH}}{command.summary}" for command in registry.listed())


def details(command: Command) -> str:
    """Summary, attributes and batch forms of one command."""
    commit = "requires" if command.needs_commit else "does not require"
    cluster = (
        "This command is restricted to machine mode."
        if command.name in MACHINE_MODE_ONLY
        else "This command can be used in all three machine modes (cluster, group, machine)."
    )
    batch = "supports" if command.batch else "does not support"
    lines = [
        f"{command.name} - {command.summary}",
        "",
        f"Commit: This command {commit} a 'commit'.",
        f"Cluster Management: {cluster}",
        f"Batch Command: This command {batch} a batch format.",
    ]
    if command.usage:
        lines += ["", command.usage.strip("\n")]
    return "\n".join(lines)


def help_command(registry: Registry) -> Command:
    """The command that prints `registry`."""

    async def show_all(talk: Conversation, session: Session) -> None:
        await talk.page(overview(registry))

    async def show_one(talk: Conversation, session: Session, args: Arguments) -> None:
        name = args.word("command")
        args.end()
        command = registry.find(name)
        if command is None:
            raise Refused(unknown(name))
        talk.say(details(command))

    return Command(
        "help",
        "Display the commands that are available.",
        dialog=show_all,
        batch=show_one,
        aliases=("h", "?"),
        usage="help <command>",
    )
