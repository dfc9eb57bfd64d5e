"""Port mapping: labs-and-ci.md 3."""

import pytest

from appliance_runtime.addresses import AddressMap, InvalidRule, Place

FOREIGN = "192.0.2.7"


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        ([f"{FOREIGN}:25=127.0.0.1:2600"], ("127.0.0.1", 2600)),
        (["*:25=127.0.0.9:0"], ("127.0.0.9", 0)),
        ([f"{FOREIGN}:*=127.0.0.1:+10000"], ("127.0.0.1", 10025)),
        (["*:*=127.0.0.1:+1"], ("127.0.0.1", 26)),
        (["*:25=127.0.0.1:1", f"{FOREIGN}:*=127.0.0.1:2"], ("127.0.0.1", 2)),
        ([f"{FOREIGN}:25=127.0.0.1:3", f"{FOREIGN}:*=127.0.0.1:2"], ("127.0.0.1", 3)),
        (["*:25=127.0.0.1:4", "*:25=127.0.0.1:5"], ("127.0.0.1", 5)),
        ([f"{FOREIGN}:25=="], (FOREIGN, 25)),
        (["*:26=127.0.0.1:6", f"{FOREIGN}:25=[::1]:7"], ("::1", 7)),
    ],
)
def test_the_most_specific_rule_wins(rules: list[str], place: tuple[str, int]) -> None:
    assert AddressMap.parse(rules).listen(FOREIGN, 25) == Place(*place, movable=False)


@pytest.mark.parametrize(
    ("port", "real"), [(22, 2222), (25, 2525), (80, 8080), (443, 8443), (465, 4650), (587, 5870), (1000, 21000), (8025, 8025)]
)
def test_without_a_rule_a_foreign_address_moves_to_the_loopback(port: int, real: int) -> None:
    assert AddressMap().listen(FOREIGN, port) == Place("127.0.0.1", real, movable=True)


def test_an_own_address_is_used_as_it_is() -> None:
    assert AddressMap().listen("127.0.0.1", 25) == Place("127.0.0.1", 25, movable=False)


def test_connecting() -> None:
    addresses = AddressMap.parse(["auto", "192.0.2.8:25=127.0.0.1:2601", "*:53=127.0.0.1:0"])
    assert addresses.listen(FOREIGN, 25) == Place("127.0.0.1", 0, movable=False)
    assert addresses.connect(FOREIGN, 25) == (FOREIGN, 25)
    assert addresses.connect("192.0.2.8", 25) == ("127.0.0.1", 2601)
    assert addresses.connect(FOREIGN, 53) == (FOREIGN, 53), "a free port is nothing to connect to"
    addresses.placed[FOREIGN, 25] = ("127.0.0.1", 40125)
    assert addresses.connect(FOREIGN, 25) == ("127.0.0.1", 40125), "one's own listener is found where it really is"


@pytest.mark.parametrize(
    "text", ["", "x", "25=26", "1.2.3.4=1.2.3.4:5", "*:0=127.0.0.1:1", "*:25=127.0.0.1:70000", "*:25=host:25", "a:25=1.2.3.4:5"]
)
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(InvalidRule):
        AddressMap.parse([text])
