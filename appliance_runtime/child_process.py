"""What a process started by `child` begins with. It imports little: the process is there sooner, and smaller."""

from __future__ import annotations

import resource
from importlib import import_module


def run(module: str, cpu_seconds: str, memory: str) -> None:
    """The limits of this process, then its work. Nothing of it ever gets into a core file."""
    for kind, limit in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, int(cpu_seconds)), (resource.RLIMIT_AS, int(memory))):
        resource.setrlimit(kind, (limit, limit))
    import_module(module).main()
