"""The state directory: everything that one appliance keeps. One process at a time holds its lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from attrs import define


class Locked(Exception):
    """Another process runs the appliance of this state directory."""


def default_state_directory() -> Path:
    """$XDG_STATE_HOME/asyncos-shell, else ~/.local/state/asyncos-shell."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "asyncos-shell"


def write_private(path: Path, content: bytes) -> None:
    """Put a file with mode 0600 in its place, whole or not at all, and durably."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@define
class StateDirectory:
    """Paths below `root`; `lock()` claims it for this process."""

    root: Path
    _lock: int | None = None

    @property
    def store(self) -> Path:
        return self.root / "config.sqlite"

    @property
    def config_key(self) -> Path:
        return self.root / "config.key"

    @property
    def files(self) -> Path:
        """What operators see as /configuration."""
        return self.root / "configuration"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def queue(self) -> Path:
        return self.root / "queue"

    @property
    def suspensions(self) -> Path:
        return self.root / "suspensions.json"

    @property
    def ssh(self) -> Path:
        return self.root / "ssh"

    @property
    def console(self) -> Path:
        """Unix socket through which local sessions attach."""
        return self.root / "console.sock"

    def lock(self) -> None:
        """Create the directory (0700) where it is missing and take its lock. Errors: Locked, OSError."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Locked from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._lock = descriptor
        for folder in (self.files, self.logs, self.queue, self.ssh):
            folder.mkdir(mode=0o700, exist_ok=True)

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
