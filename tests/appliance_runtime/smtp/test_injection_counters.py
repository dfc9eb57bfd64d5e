"""Counters that outlive configurations (listenerconfig.md 11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from appliance_runtime.smtp.access import client_ip
from appliance_runtime.smtp.limits import MAX_CLIENTS, OpenConnections, RecipientsPerHour, counted_client

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
ONE = counted_client(client_ip("192.0.2.1"), 0)


@pytest.mark.parametrize(
    ("first", "second", "bits", "same"),
    [
        ("192.0.2.1", "192.0.2.1", 0, True),
        ("192.0.2.1", "192.0.2.2", 0, False),
        ("192.0.2.1", "192.0.2.2", 32, False),
        ("192.0.2.1", "192.0.2.254", 24, True),
        ("192.0.2.1", "192.0.3.1", 24, False),
        ("10.0.0.1", "127.0.0.1", 1, True),
        ("10.0.0.1", "192.0.2.1", 1, False),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", 0, True),
        ("2001:db8::1", "2001:db8:0:1::1", 24, False),
    ],
)
def test_who_is_one_client(first: str, second: str, bits: int, same: bool) -> None:
    assert (counted_client(client_ip(first), bits) == counted_client(client_ip(second), bits)) == same


def test_recipients_per_hour() -> None:
    hourly = RecipientsPerHour(began=NOW)
    assert [hourly.take(ONE, 2, NOW, 3600) for _ in range(3)] == [True, True, False]
    assert hourly.take(ONE, -1, NOW, 3600)
    assert not hourly.take(ONE, 3, NOW, 3600), "what a policy without a limit let through counts as well"
    assert hourly.take(ONE, 4, NOW, 3600)


def test_all_counters_are_reset_together_every_period() -> None:
    hourly = RecipientsPerHour(began=NOW)
    late = NOW + timedelta(seconds=3599)
    other = counted_client(client_ip("192.0.2.9"), 0)
    assert hourly.take(ONE, 1, late, 3600) and hourly.take(other, 1, late, 3600)
    assert not hourly.take(ONE, 1, late, 3600)
    again = NOW + timedelta(seconds=3600)
    assert hourly.take(ONE, 1, again, 3600) and hourly.take(other, 1, again, 3600)
    assert not hourly.take(ONE, 1, NOW + timedelta(seconds=7199), 3600)
    assert hourly.take(ONE, 1, NOW + timedelta(seconds=7200), 3600)
    assert hourly.take(ONE, 1, NOW + timedelta(seconds=90000), 3600)
    assert hourly.began == NOW + timedelta(seconds=90000)


def test_memory_is_bounded() -> None:
    hourly = RecipientsPerHour(began=NOW)
    for n in range(MAX_CLIENTS + 10):
        assert hourly.take((4, 32, n), 1, NOW, 3600)
    assert len(hourly.counts) == MAX_CLIENTS
    assert not hourly.take((4, 32, MAX_CLIENTS), 1, NOW, 3600)
    assert hourly.take((4, 32, 0), 1, NOW, 3600), "the first one was forgotten"


def test_open_connections_keep_nothing_of_those_that_left() -> None:
    opened = OpenConnections()
    client = client_ip("192.0.2.1")
    opened.enter("in")
    opened.enter("in")
    opened.enter_client(client)
    assert (opened.total, opened.by_listener["in"], opened.by_client[client]) == (2, 2, 1)
    opened.leave("in")
    opened.leave("in")
    opened.leave_client(client)
    assert (opened.total, len(opened.by_listener), len(opened.by_client)) == (0, 0, 0)
