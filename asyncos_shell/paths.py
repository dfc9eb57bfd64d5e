"""Names of files that fit where a name must be short."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 100
"""octets of a path that the address of a Unix socket can hold"""


@contextmanager
def socket_path(path: Path) -> Iterator[str]:
    """A name for `path` that is short enough for a socket address."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
