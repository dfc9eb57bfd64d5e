"""EXPORT and IMPORT of a table: the two questions, and reading and writing of files in /configuration.

An import is all or nothing. Its first problem is printed as `Error: <problem>`, then `Import failed.`; what the
problem concerns stands in front of it (`line 3: `). Source: routing.md, head.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from appliance_runtime.sessions import Session
from commands.answers import file_name
from commands.dialog import Conversation, Refused, Rejected

EXPORT_QUESTION = "Enter a name for the exported file:"
IMPORT_QUESTION = "Enter the name of the file to import:"
EXPORTED = "Export completed."


class ImportProblem(ValueError):
    """Why a file cannot be imported."""


def existing_file(directory: Path) -> Callable[[str], Path]:
    """Parser of the name of a file in `directory`."""

    def parse(answer: str) -> Path:
        path = directory / file_name(answer)
        if not path.is_file() or path.is_symlink():
            raise Rejected(f'the file "{answer}" does not exist.')
        return path

    return parse


async def export_text(talk: Conversation, session: Session, text: str) -> None:
    """Ask for a name and write `text` under it; a file of that name is replaced. In batch the answer is `file`."""
    name = await talk.ask(EXPORT_QUESTION, file_name, key="file")
    try:
        await asyncio.to_thread(_write, session.appliance.files / name, text)
    except OSError as error:
        raise Refused(f'The file "{name}" cannot be written: {error.strerror}.') from error
    talk.note(EXPORTED)


async def import_text(talk: Conversation, session: Session) -> str:
    """Ask for a file and return its content. In batch the answer is `file`."""
    directory = session.appliance.files
    path = await talk.select(IMPORT_QUESTION, existing_file(directory), key="file", words=await asyncio.to_thread(_names, directory))
    try:
        content = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise Refused(f'The file "{path.name}" cannot be read: {error.strerror}.') from error
    return content.decode("utf-8-sig", errors="replace")


def import_failed(problem: ImportProblem) -> Refused:
    """What the operator sees of it."""
    return Refused(f"Error: {problem}\nImport failed.")


def imported(count: int) -> str:
    return f"{count} entries imported successfully."


def _names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir() if entry.is_file()) if directory.is_dir() else []


def _write(path: Path, text: str) -> None:
    """Replace the file in one step; it is private to the appliance."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode())
    draft.replace(path)
