"""Duration of a commit that changes one of 10,000 destination entries: run `make bench`."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from appliance_runtime.appliance import Appliance
from appliance_runtime.commit import Author
from appliance_runtime.options import StartOptions
from appliance_state.model.destinations import Destination, TlsSupport
from asyncos_shell.ssh_server import SshServer
from commands.catalog import catalog

ENTRIES = 10_000
RUNS = 15
BOUND = 0.150


async def measure(state: Path) -> list[float]:
    appliance = await Appliance.open(StartOptions(state=state, maps=("auto",), passphrase="bench-passphrase"))
    ssh = SshServer(appliance, catalog())
    await appliance.start(ssh)
    session = appliance.open_session(user="admin", kind="script", remote="console")
    author = Author(user="admin", kind="script", pid=session.pid)
    draft = session.draft
    entries = [Destination(domain=f"d{n}.test", tls_support=TlsSupport.REQUIRED) for n in range(ENTRIES)]
    draft.config = draft.config.with_(destinations=draft.config.destinations.put(*entries))
    await appliance.committer.commit(draft, author, "fill", False)
    taken = []
    for run in range(RUNS):
        changed = Destination(domain=f"d{run}.test", tls_support=TlsSupport.PREFERRED, max_host_concurrency=run + 1)
        draft.config = draft.config.with_(destinations=draft.config.destinations.put(changed))
        begin = time.perf_counter()
        await appliance.committer.commit(draft, author, "change", run % 2 == 0)
        taken.append(time.perf_counter() - begin)
    appliance.close_session(session)
    await ssh.stop(1)
    await appliance.stop(1)
    return taken


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        taken = asyncio.run(measure(Path(folder) / "state"))
    median = statistics.median(taken)
    print(
        f"commit with {ENTRIES:,} destination entries      {median * 1000:8.1f} ms   "
        f"(min {min(taken) * 1000:.1f}, max {max(taken) * 1000:.1f}, bound {BOUND * 1000:.0f}) {'ok' if median < BOUND else 'OVER'}"
    )


if __name__ == "__main__":
    main()
