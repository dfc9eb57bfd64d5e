"""Own address and EHLO name of a connection (delivery.md 3, item 1; routing.md 4)."""

from __future__ import annotations

import pytest

from appliance_runtime.delivery.source import Source, Sources, source_for
from appliance_state.model import Config
from appliance_state.model.interfaces import Interface, InterfaceGroup
from appliance_state.table import Table, evolve

LOCAL = Interface(name="Local", ipv4="127.0.0.1", hostname="local.example.test")
OUT = Interface(name="Out", ipv4="192.0.2.1", ipv4_prefix=24, ipv6="2001:db8::1", hostname="out.example.test")
NAMELESS = Interface(name="Nameless", ipv4="198.51.100.1", ipv4_prefix=24, hostname="")
GROUP = InterfaceGroup(name="Both", members=frozenset(("Local", "Out")))


def config(interface: str = "Auto") -> Config:
    made = Config(interfaces=Table([LOCAL, OUT, NAMELESS]), interface_groups=Table([GROUP]))
    return made.with_(delivery=evolve(made.delivery, interface=interface))


@pytest.mark.parametrize(
    ("interface", "target", "real", "turn", "expected"),
    [
        ("Auto", "127.0.0.1", "127.0.0.1", 0, ("127.0.0.1", None, "local.example.test")),
        ("Auto", "192.0.2.25", "127.0.0.1", 0, ("127.0.0.1", None, "local.example.test")),
        ("Auto", "192.0.2.25", "127.0.0.9", 0, ("127.0.0.1", None, "local.example.test")),
        ("Out", "192.0.2.25", "127.0.0.1", 0, ("192.0.2.1", None, "out.example.test")),
        ("Out", "2001:db8::25", "::1", 0, ("2001:db8::1", None, "out.example.test")),
        ("Local", "192.0.2.25", "127.0.0.1", 0, ("127.0.0.1", "127.0.0.1", "local.example.test")),
        ("Nameless", "198.51.100.7", "127.0.0.1", 0, ("198.51.100.1", None, "mail.example.com")),
        ("Both", "192.0.2.25", "127.0.0.1", 0, ("127.0.0.1", "127.0.0.1", "local.example.test")),
        ("Both", "192.0.2.25", "127.0.0.1", 1, ("192.0.2.1", None, "out.example.test")),
        ("Both", "192.0.2.25", "127.0.0.1", 2, ("127.0.0.1", "127.0.0.1", "local.example.test")),
    ],
)
def test_source(interface: str, target: str, real: str, turn: int, expected: tuple[str, str | None, str]) -> None:
    address, bind, hello = expected
    assert source_for(config(interface), target, real, turn) == Source(address=address, bind=bind, hello=hello)


def test_what_is_remembered_lasts_a_second_and_no_commit() -> None:
    times = [0.0]
    sources = Sources(lambda: times[0])
    running = config()
    first = sources.find(running, "192.0.2.25", "127.0.0.1", 0)
    assert sources.find(running, "192.0.2.25", "127.0.0.1", 1) is first
    times[0] = 1.0
    assert sources.find(running, "192.0.2.25", "127.0.0.1", 2) is not first
    assert sources.find(config("Out"), "192.0.2.25", "127.0.0.1", 3).hello == "out.example.test"


def test_members_of_a_group_go_on_taking_turns() -> None:
    sources, running = Sources(lambda: 0.0), config("Both")
    assert [sources.find(running, "192.0.2.25", "127.0.0.1", turn).hello[:3] for turn in range(4)] == ["loc", "out"] * 2
