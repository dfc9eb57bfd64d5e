"""What is suspended: the system status, and the file in which it survives (operations.md 2, 5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance_runtime.suspensions import Pause, Suspensions, read_suspensions, write_suspensions
from appliance_state.model import Config
from appliance_state.model.listeners import Listener
from appliance_state.table import Table

PAUSE = Pause(number=3, user="admin", reason="checking")


def config(*uids: str) -> Config:
    return Config(listeners=Table(Listener(name=f"L{uid}", uid=uid) for uid in uids))


@pytest.mark.parametrize(
    ("suspensions", "listeners", "status"),
    [
        (Suspensions(), ("a",), "Online"),
        (Suspensions(), (), "Online"),
        (Suspensions(receiving=True), ("a",), "Receiving Suspended"),
        (Suspensions(receiving=True), (), "Receiving Suspended"),
        (Suspensions(listeners=frozenset("a")), ("a", "b"), "Online"),
        (Suspensions(listeners=frozenset("ab")), ("a", "b"), "Receiving Suspended"),
        (Suspensions(listeners=frozenset("ab")), (), "Online"),
        (Suspensions(delivery=True), ("a",), "Delivery Suspended"),
        (Suspensions(domains=frozenset(["d.test"])), ("a",), "Online"),
        (Suspensions(receiving=True, delivery=True, pause=PAUSE), ("a",), "Offline"),
        (Suspensions(delivery=True, pause=PAUSE), ("a",), "Delivery Suspended"),
        (Suspensions(domains=frozenset(["d.test"]), pause=PAUSE), ("a",), "Work Queue Paused"),
    ],
)
def test_the_first_that_applies(suspensions: Suspensions, listeners: tuple[str, ...], status: str) -> None:
    assert suspensions.status(config(*listeners)) == status


def test_resuming_one_of_all_leaves_the_others() -> None:
    resumed = Suspensions(receiving=True).with_listeners_resumed(["a"], config("a", "b"))
    assert (resumed.receiving, resumed.listeners) == (False, frozenset("b"))
    assert [resumed.listener(uid) for uid in "abc"] == [False, True, False]


def test_the_file_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "suspensions.json"
    assert read_suspensions(path) == Suspensions()
    full = Suspensions(
        receiving=True, listeners=frozenset("ab"), delivery=True, domains=frozenset(["d.test"]), pause=PAUSE, pauses=3
    )  # fmt: skip
    write_suspensions(path, full)
    assert read_suspensions(path) == full
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"listeners": [], "domains": [], "pause": {"x": 1}}', '{"listeners": 3}'])
def test_a_damaged_file_is_no_permission_to_receive(tmp_path: Path, content: str) -> None:
    path = tmp_path / "suspensions.json"
    path.write_text(content)
    with pytest.raises(ValueError):
        read_suspensions(path)
