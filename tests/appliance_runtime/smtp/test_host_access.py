"""Which entry of a host access table decides (listenerconfig.md 5.1)."""

from __future__ import annotations

import ipaddress
import time

import attrs
import pytest

from appliance_runtime.smtp.access import client_ip, compile_listener
from appliance_state.model.listeners import Behavior, Listener, MailFlowPolicy, PolicyParameters, ReceivingTls, Sender, SenderGroup
from tests.appliance_runtime.smtp.bench import EVERYONE, HOST, group, make_config, private_listener, public_listener

SOURCES = [
    ("192.168.1.1", "192.168.1.1", None, True),
    ("192.168.1.1", "192.168.1.2", None, False),
    ("2001:db8::1", "2001:db8:0::1", None, True),
    ("2001:db8::1", "2001:db8::2", None, False),
    ("10.1.1.0/24", "10.1.1.255", None, True),
    ("10.1.1.0/24", "10.1.2.0", None, False),
    ("10.1.1.7/24", "10.1.1.1", None, True),
    ("2001:db8::/32", "2001:db8:ffff::1", None, True),
    ("2001:db8::/32", "2001:db9::1", None, False),
    ("0.0.0.0/0", "8.8.8.8", None, True),
    ("0.0.0.0/0", "2001:db8::1", None, False),
    ("10.1.1.10-20", "10.1.1.10", None, True),
    ("10.1.1.10-20", "10.1.1.20", None, True),
    ("10.1.1.10-20", "10.1.1.21", None, False),
    ("10.1.1.10-20", "10.1.1.9", None, False),
    ("10.1.1.10-10.1.2.20", "10.1.1.200", None, True),
    ("10.1.1.10-10.1.2.20", "10.1.2.21", None, False),
    ("2001:db8::1-2001:db8::5", "2001:db8::5", None, True),
    ("2001:db8::1-2001:db8::5", "2001:db8::6", None, False),
    ("10.2.3.", "10.2.3.255", None, True),
    ("10.2.3.", "10.2.33.1", None, False),
    ("10.2.", "10.2.99.1", None, True),
    ("10.", "10.255.0.1", None, True),
    ("10.", "110.0.0.1", None, False),
    ("crm.example.com", "192.0.2.1", "CRM.example.com", True),
    ("crm.example.com", "192.0.2.1", "crm.example.com.", True),
    ("crm.example.com", "192.0.2.1", "a.crm.example.com", False),
    ("crm.example.com", "192.0.2.1", None, False),
    (".example.com", "192.0.2.1", "a.example.com", True),
    (".Example.com", "192.0.2.1", "a.b.example.COM", True),
    (".example.com", "192.0.2.1", "example.com", False),
    (".example.com", "192.0.2.1", "badexample.com", False),
    ("192.0.2.1", "::ffff:192.0.2.1", None, True),
    ("::ffff:192.0.2.1", "192.0.2.1", None, True),
    ("::ffff:192.0.2.0/120", "192.0.2.99", None, True),
    ("::ffff:192.0.2.1", "192.0.2.2", None, False),
]


def listener(*groups: SenderGroup, **changes: object) -> Listener:
    return attrs.evolve(public_listener(), hat_sender_groups=(*groups, EVERYONE), **changes)  # type: ignore[arg-type]


def decide(made: Listener, address: str, hostname: str | None = None) -> tuple[str, str, Behavior]:
    decision = compile_listener(make_config(made), made).decide(client_ip(address), hostname)
    return decision.group, decision.entry, decision.behavior


@pytest.mark.parametrize(("source", "client", "hostname", "matches"), SOURCES)
def test_sources(source: str, client: str, hostname: str | None, matches: bool) -> None:
    expected = ("G", source, Behavior.REJECT) if matches else ("None", "ALL", Behavior.ACCEPT)
    assert decide(listener(group("G", source, behavior=Behavior.REJECT)), client, hostname) == expected


def test_the_first_entry_that_matches_decides() -> None:
    wide, narrow = group("WIDE", "10.0.0.0/8"), group("NARROW", "10.1.1.1", behavior=Behavior.REJECT)
    assert decide(listener(wide, narrow), "10.1.1.1") == ("WIDE", "10.0.0.0/8", Behavior.ACCEPT)
    assert decide(listener(narrow, wide), "10.1.1.1") == ("NARROW", "10.1.1.1", Behavior.REJECT)
    named = group("NAMED", ".test", behavior=Behavior.RELAY)
    assert decide(listener(named, narrow), "10.1.1.1", "a.test") == ("NAMED", ".test", Behavior.RELAY)
    assert decide(listener(narrow, named), "10.1.1.1", "a.test") == ("NARROW", "10.1.1.1", Behavior.REJECT)


def test_the_first_source_of_a_group_that_matches_is_named() -> None:
    assert decide(listener(group("G", "10.9.9.9", "10.0.0.0/8", "10.1.1.1")), "10.1.1.1")[1] == "10.0.0.0/8"


def test_continue_goes_on_and_is_named_in_the_log() -> None:
    going_on = group("WATCHED", "10.0.0.0/8", behavior=Behavior.CONTINUE)
    refusing = group("BAD", "10.1.1.1", behavior=Behavior.TCPREFUSE)
    assert decide(listener(going_on, refusing), "10.1.1.1") == ("WATCHED", "10.0.0.0/8", Behavior.TCPREFUSE)
    assert decide(listener(going_on), "10.1.1.1") == ("WATCHED", "10.0.0.0/8", Behavior.ACCEPT)
    assert decide(listener(refusing, going_on), "10.1.1.1") == ("BAD", "10.1.1.1", Behavior.TCPREFUSE)
    assert decide(listener(going_on), "192.0.2.1") == ("None", "ALL", Behavior.ACCEPT)


def test_a_group_without_hosts_never_matches() -> None:
    assert decide(listener(group("EMPTY", behavior=Behavior.REJECT)), "10.1.1.1")[0] == "None"


def test_parameters_come_from_the_policy_then_from_the_defaults() -> None:
    policy = MailFlowPolicy(
        name="Strict", behavior=Behavior.ACCEPT, parameters=PolicyParameters(max_rcpts_per_msg=3, tls=ReceivingTls.REQUIRE)
    )
    entry = SenderGroup(name="P", senders=(Sender(source="10.1.1.1"),), policy="STRICT")
    own = group("O", "10.1.1.2", max_msgs_per_session=7)
    compiled = compile_listener(make_config(made := listener(entry, own, hat_policies=(policy,))), made)
    strict = compiled.decide(client_ip("10.1.1.1"), None)
    assert (strict.parameters.max_rcpts_per_msg, strict.parameters.max_msgs_per_session) == (3, 10)
    assert strict.treatment.settings.tls is ReceivingTls.REQUIRE
    assert compiled.decide(client_ip("10.1.1.2"), None).parameters.max_msgs_per_session == 7


def test_host_names_of_replies() -> None:
    made = listener(group("A", "10.1.1.1", override_hostname="mx.test"), group("B", "10.1.1.2", override_hostname=""))
    compiled = compile_listener(make_config(made), made)
    for client, banner, host in (("10.1.1.1", "mx.test", "mx.test"), ("10.1.1.2", "", HOST), ("10.1.1.3", HOST, HOST)):
        treatment = compiled.decide(client_ip(client), None).treatment
        assert (treatment.banner_name, treatment.settings.host) == (banner, host)


def test_a_private_listener_rejects_whom_it_does_not_know() -> None:
    assert decide(private_listener(relay=("10.1.1.1",)), "10.1.1.1") == ("RELAYLIST", "10.1.1.1", Behavior.RELAY)
    assert decide(private_listener(relay=("10.1.1.1",)), "10.1.1.2") == ("None", "ALL", Behavior.REJECT)


def test_a_policy_that_does_not_exist() -> None:
    made = listener(SenderGroup(name="P", senders=(Sender(source="10.1.1.1"),), policy="NOWHERE"))
    with pytest.raises(ValueError, match="NOWHERE"):
        compile_listener(make_config(made), made)


def test_twenty_thousand_hosts_cost_a_few_lookups() -> None:
    start = int(ipaddress.ip_address("10.0.0.0"))
    sources = [str(ipaddress.ip_address(start + 2 * n)) for n in range(10000)] + [f"h{n}.example.com" for n in range(10000)]
    made = listener(group("MANY", *sources, behavior=Behavior.REJECT))
    compiled = compile_listener(make_config(made), made)
    assert compiled.decide(client_ip("10.0.0.2"), None).entry == "10.0.0.2"
    assert compiled.decide(client_ip("192.0.2.1"), "h9999.example.com").entry == "h9999.example.com"
    client = client_ip("10.0.0.3")
    began = time.perf_counter()
    for _ in range(200):
        assert compiled.decide(client, "x.example.com").group == "None"
    assert (time.perf_counter() - began) / 200 < 0.001
