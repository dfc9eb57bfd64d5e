"""What a start writes into the logs: that the system comes up, who listens, who uses the demo certificate (logs-and-alerts.md 4, 6)."""

from __future__ import annotations

from pathlib import Path

import attrs

from appliance_runtime.appliance import Appliance
from appliance_runtime.commit import Author
from appliance_runtime.options import StartOptions
from appliance_state.model.destinations import DEFAULT_DOMAIN, TlsSupport
from appliance_state.model.listeners import ListenerType, ReceivingTls, new_listener
from asyncos_shell.running import Running

AUTHOR = Author(user="system", kind="system")
LISTENER = 'Warning: Listener "In" uses the demo certificate, which is not secure.'
OUTGOING = "Warning: Outgoing TLS connections use the demo certificate, which is not secure."


async def start(state: Path) -> Running:
    return await Running.start(StartOptions(state=state, maps=("auto",), passphrase="of the first start"))


def lines(state: Path, log: str, file: str) -> list[str]:
    """Without date and without the header, of all files."""
    texts = [path.read_text() for path in sorted((state / "logs" / log).glob(f"{file}.*"), key=lambda path: path.name.endswith("current"))]
    return [line[25:] for text in texts for line in text.splitlines()[3:]]


async def change(appliance: Appliance, **sections: object) -> None:
    await appliance.change_now(appliance.running()[1].with_(**sections), {}, AUTHOR)


async def test_the_first_line_says_that_the_system_comes_up(tmp_path: Path) -> None:
    running = await start(tmp_path / "state")
    await running.stop(1.0)
    found = lines(tmp_path / "state", "system_logs", "system")
    assert found[0] == "Info: System is coming up." and found[1].startswith("Info: Interface Management: SSH is listening")
    assert "Info: System is going down." in found
    assert not [line for line in lines(tmp_path / "state", "mail_logs", "mail") if "demo certificate" in line], "nothing speaks TLS"


async def test_the_demo_certificate_is_named_by_the_commit_and_by_every_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    running = await start(state)
    appliance = running.appliance
    listener = new_listener(name="In", uid="in", kind=ListenerType.PUBLIC, interface="Management")
    encrypted = attrs.evolve(listener, hat_default=attrs.evolve(listener.hat_default, tls=ReceivingTls.ON))
    config = appliance.running()[1]
    await change(appliance, listeners=config.listeners.put(listener))
    await change(appliance, listeners=config.listeners.put(encrypted))
    config = appliance.running()[1]
    preferred = attrs.evolve(config.destinations[DEFAULT_DOMAIN], tls_support=TlsSupport.PREFERRED)
    await change(appliance, destinations=config.destinations.put(preferred))
    await change(appliance, delivery=attrs.evolve(config.delivery, max_concurrency=7))
    await running.stop(1.0)
    assert [line for line in lines(state, "mail_logs", "mail") if "demo" in line] == [LISTENER, OUTGOING], "once, and not without TLS"
    again = await start(state)
    await again.stop(1.0)
    assert [line for line in lines(state, "mail_logs", "mail") if "demo" in line] == [LISTENER, OUTGOING, LISTENER, OUTGOING]
