"""What a commit opens and closes: endpoints of the configuration, and the acceptors that serve them."""

from __future__ import annotations

import socket
from typing import Protocol

from attrs import frozen

from appliance_state.model import Config
from appliance_state.model.interfaces import SERVICES

SERVICE_LABELS = {word: label for word, label, _ in SERVICES}
MANAGEMENT = ("ssh", "http", "https")
"""Services of interfaces that are offered here."""


@frozen
class Endpoint:
    """A logical socket. `service`: smtp, ssh, http or https; `owner`, `uid`: listener or interface."""

    service: str
    owner: str
    uid: str
    address: str
    port: int
    backlog: int = 128

    @property
    def logical(self) -> tuple[str, int]:
        return self.address, self.port

    @property
    def title(self) -> str:
        """`Listener "InboundMail"` or `Interface "Management"`."""
        return f'{"Listener" if self.service == "smtp" else "Interface"} "{self.owner}"'


class Accepting(Protocol):
    def close(self) -> None:
        """Stop accepting at once; open connections go on."""


class Acceptor(Protocol):
    async def accept_on(self, endpoint: Endpoint, sock: socket.socket) -> Accepting:
        """Accept connections on a listening, non-blocking socket, which the result owns."""


def endpoints(config: Config) -> list[Endpoint]:
    """Every socket that a configuration wants."""
    wanted = []
    for interface in config.interfaces.sorted():
        for address in interface.addresses:
            for service in MANAGEMENT:
                port = interface.service_port(service)
                if port is not None:
                    wanted.append(Endpoint(service, interface.name, interface.uid, address, port))
    for listener in config.listeners.sorted():
        if listener.interface in config.interfaces:
            for address in config.interfaces[listener.interface].addresses:
                wanted.append(Endpoint("smtp", listener.name, listener.uid, address, listener.port, listener.listen_queue_size))
    return wanted
