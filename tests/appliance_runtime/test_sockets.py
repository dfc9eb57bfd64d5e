"""Sockets open = sockets wanted, all or nothing (commit.md 5)."""

import socket
from collections.abc import Iterator

import pytest

from appliance_runtime.addresses import AddressMap
from appliance_runtime.services import Endpoint
from appliance_runtime.sockets import SocketTable


class Recorder:
    """An acceptor that notes on which endpoints it accepts."""

    def __init__(self) -> None:
        self.accepting: list[Endpoint] = []

    async def accept_on(self, endpoint: Endpoint, sock: socket.socket) -> "Accepting":
        self.accepting.append(endpoint)
        return Accepting(self, endpoint, sock)


class Accepting:
    def __init__(self, recorder: Recorder, endpoint: Endpoint, sock: socket.socket) -> None:
        self.recorder, self.endpoint, self.sock = recorder, endpoint, sock

    def close(self) -> None:
        self.recorder.accepting.remove(self.endpoint)
        self.sock.close()


def endpoint(name: str, port: int, address: str = "127.0.0.1", service: str = "smtp") -> Endpoint:
    return Endpoint(service, name, name, address, port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def table(recorder: Recorder) -> Iterator[SocketTable]:
    made = SocketTable(AddressMap(), {"smtp": recorder, "https": recorder})
    yield made
    made.close()


async def test_open_keep_and_close(table: SocketTable, recorder: Recorder) -> None:
    first, second = endpoint("A", free_port()), endpoint("B", free_port())
    assert await table.prepare([first]).apply() == [first]
    kept = table.open[first.logical].sock
    assert await table.prepare([first, second]).apply() == [second]
    assert table.open[first.logical].sock is kept
    assert answers(first.port) and answers(second.port)
    assert await table.prepare([second]).apply() == []
    assert not answers(first.port) and answers(second.port)
    assert recorder.accepting == [second]


async def test_a_busy_port_is_named_and_nothing_is_left_open(table: SocketTable, recorder: Recorder) -> None:
    standing = endpoint("Old", free_port())
    await table.prepare([standing]).apply()
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        busy, new = endpoint("Busy", foreign.getsockname()[1]), endpoint("New", free_port())
        prepared = table.prepare([standing, new, busy])
        assert prepared.problems == [f'Listener "Busy": cannot listen on 127.0.0.1 port {busy.port}: Address already in use']
        await prepared.abort()
    assert not answers(new.port)
    assert answers(standing.port)
    assert recorder.accepting == [standing]
    retried = table.prepare([standing, new, busy])
    assert retried.problems == []
    assert await retried.apply() == [new, busy]


async def test_two_listeners_exchange_their_ports(table: SocketTable, recorder: Recorder) -> None:
    one, two = free_port(), free_port()
    await table.prepare([endpoint("A", one), endpoint("B", two)]).apply()
    sockets = {entry.sock for entry in table.open.values()}
    prepared = table.prepare([endpoint("A", two), endpoint("B", one)])
    assert prepared.problems == []
    await prepared.apply()
    assert {entry.sock for entry in table.open.values()} == sockets
    assert sorted((e.owner, e.port) for e in recorder.accepting) == [("A", two), ("B", one)]


async def test_a_moved_interface_takes_its_real_socket_along(recorder: Recorder) -> None:
    real = free_port()
    table = SocketTable(AddressMap.parse([f"*:25=127.0.0.1:{real}"]), {"smtp": recorder})
    old, new = endpoint("A", 25, "192.0.2.1"), endpoint("A", 25, "192.0.2.2")
    await table.prepare([old]).apply()
    prepared = table.prepare([new])
    assert prepared.problems == []
    await prepared.apply()
    assert recorder.accepting == [new] and answers(real)
    clash = table.prepare([new, old])
    assert clash.problems == [f'Listener "A": cannot listen on 192.0.2.1 port 25 (mapped to 127.0.0.1 port {real}): Address already in use']
    await clash.abort()
    assert answers(real)
    table.close()


async def test_without_a_rule_a_taken_port_means_the_next_one(recorder: Recorder) -> None:
    table = SocketTable(AddressMap(), {"smtp": recorder})
    wanted = endpoint("A", free_port(), "192.0.2.1")
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", wanted.port))
        foreign.listen()
        await table.prepare([wanted]).apply()
        (entry,) = table.open.values()
        assert entry.real[1] > wanted.port
    await table.prepare([]).apply()
    await table.prepare([wanted]).apply()
    assert table.open[wanted.logical].real == entry.real, "a logical address keeps its real port"
    table.close()


async def test_problems_of_services_name_the_service(recorder: Recorder) -> None:
    table = SocketTable(AddressMap.parse(["192.0.2.1:443=192.0.2.1:8443"]), {"https": recorder})
    prepared = table.prepare([endpoint("Management", 443, "192.0.2.1", "https")])
    assert prepared.problems == [
        'Interface "Management": cannot listen on 192.0.2.1 port 443 (mapped to 192.0.2.1 port 8443) (HTTPS): Cannot assign requested address'
    ]
    await prepared.abort()
