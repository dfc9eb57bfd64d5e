"""Files in /configuration as certconfig reads and writes them (certconfig.md 10)."""

from __future__ import annotations

import os
import stat

from appliance_runtime.sessions import Session
from appliance_runtime.state_directory import write_private
from appliance_state.certificates.pem import decode, looks_like_pem
from commands.answers import file_name
from commands.dialog import Cancelled, Conversation, Refused, Rejected

MAX_FILE = 4 * 1024 * 1024


def file_names(session: Session) -> list[str]:
    """What completion offers."""
    return sorted(path.name for path in session.appliance.files.iterdir() if path.is_file() and not path.name.startswith("."))


def read_file(session: Session, name: str) -> bytes:
    """Content of a file, cut one octet behind the limit of 4 MiB. Errors: Rejected."""
    missing = Rejected(f'the file "{name}" does not exist.')
    try:
        descriptor = os.open(session.appliance.files / file_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise missing from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise missing
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE + 1)


def read_pem(session: Session, name: str) -> str:
    """A PEM file as text. Errors: Rejected, also for a file in another format."""
    data = read_file(session, name)
    if len(data) > MAX_FILE or not looks_like_pem(data):
        raise Rejected(f'The file "{name}" is not in PEM format (openssl x509 -inform der -in {name} -out {name}.pem).')
    return decode(data)


def write_file(session: Session, name: str, content: bytes) -> None:
    """Write at once, mode 0600, whole or not at all. Errors: Rejected for its name, Refused."""
    path = session.appliance.files / file_name(name)
    try:
        write_private(path, content)
    except OSError as error:
        raise Refused(f'The file "{name}" could not be written: {error.strerror}.') from None


def _host(session: Session) -> str:
    return session.appliance.running()[1].system.hostname


async def ask_import_file(talk: Conversation, session: Session) -> tuple[str, bytes]:
    """Name and content of the file to import. An empty answer cancels."""

    def read(name: str) -> tuple[str, bytes]:
        return name, read_file(session, name)

    question = f'Enter the name of the file on machine "{_host(session)}" to import:'
    return await talk.select(question, read, key="file", words=file_names(session))


async def ask_export_file(talk: Conversation, session: Session) -> str:
    """Name of the file to write; an existing one only after a question. An empty answer cancels."""
    question = f'Enter the name of the file on machine "{_host(session)}" to export:'
    name = await talk.select(question, file_name, key="file", words=file_names(session))
    if (session.appliance.files / name).exists():
        question = f'The file "{name}" already exists. Do you want to overwrite it?'
        if not await talk.confirm(question, key="overwrite", default=False):
            raise Refused(f'The file "{name}" already exists.') if talk.batch else Cancelled
    return name
