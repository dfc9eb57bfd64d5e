"""Snapshots: what did not change is taken over, what did is made anew, what cannot be made is a problem."""

import ssl

import attrs

from appliance_runtime.smtp.access import client_ip
from appliance_runtime.snapshot import Builder, Snapshot
from appliance_state.certificates.ca_bundle import packaged_bundle
from appliance_state.model import Config
from appliance_state.model.certificates import CrlSettings
from appliance_state.model.listeners import ListenerType, ReceivingTls, Sender, SenderGroup, new_listener
from tests.support.appliance import demo_certificate

BASE = Config().with_(
    interfaces=Config().interfaces.put(attrs.evolve(Config().interfaces["Management"], hostname="")),
    listeners=Config().listeners.put(new_listener(name="In", uid="in", kind=ListenerType.PUBLIC, interface="Management")),
)


def builder(previous: Snapshot | None = None) -> Builder:
    return Builder(demo_certificate(), {}.__getitem__, previous, packaged_bundle())


def built(config: Config, previous: Snapshot | None = None) -> Snapshot:
    snapshot = builder(previous).build(1, config)
    assert snapshot is not None
    return snapshot


def test_unchanged_parts_are_taken_over() -> None:
    first = built(BASE)
    second = built(BASE.with_(delivery=attrs.evolve(BASE.delivery, max_concurrency=5)), first)
    assert second.receiving["in"] is first.receiving["in"]
    assert second.inbound_contexts["demo"] is first.inbound_contexts["demo"]
    assert second.gui_contexts["demo"] is first.gui_contexts["demo"]
    assert second.outbound_context is first.outbound_context
    assert second.anchors is first.anchors


def test_other_methods_make_other_contexts_for_their_service_only() -> None:
    first = built(BASE)
    second = built(BASE.with_(ssl=attrs.evolve(BASE.ssl, inbound_methods=frozenset({"tlsv1_3"}))), first)
    assert second.inbound_contexts["demo"] is not first.inbound_contexts["demo"]
    assert second.gui_contexts["demo"] is first.gui_contexts["demo"]


def test_a_listener_without_an_own_name_follows_the_host_name() -> None:
    first = built(BASE)
    second = built(BASE.with_(system=attrs.evolve(BASE.system, hostname="mail3.example.com")), first)
    decisions = [snapshot.receiving["in"].decide(client_ip("127.0.0.1"), None) for snapshot in (first, second)]
    assert [decision.treatment.settings.host for decision in decisions] == ["mail.example.com", "mail3.example.com"]


def test_a_source_that_is_none_is_a_problem_of_its_listener() -> None:
    listener = BASE.listeners["In"]
    group = SenderGroup(name="BAD", senders=(Sender(source="not a source"),), policy="ACCEPTED")
    broken = attrs.evolve(listener, hat_sender_groups=(group, *listener.hat_sender_groups))
    work = builder()
    assert work.build(1, BASE.with_(listeners=BASE.listeners.put(broken))) is None
    (problem,) = work.problems
    assert problem.startswith('Listener "In": the host access table cannot be used: ')


def test_other_clients_have_the_context_of_delivery_until_they_are_allowed_older_versions() -> None:
    first = built(BASE)
    assert first.other_client_context is first.outbound_context
    allowed = BASE.with_(ssl=attrs.evolve(BASE.ssl, other_client_tlsv10=True))
    second = built(allowed, first)
    assert second.outbound_context is first.outbound_context
    assert second.other_client_context is not first.outbound_context
    third = built(allowed.with_(delivery=attrs.evolve(BASE.delivery, max_concurrency=5)), second)
    assert third.other_client_context is second.other_client_context
    assert built(BASE, third).other_client_context is first.outbound_context


def test_listeners_that_ask_for_certificates_give_no_tickets_while_revocation_counts() -> None:
    listener = BASE.listeners["In"]
    asking = attrs.evolve(listener, hat_default=attrs.evolve(listener.hat_default, tls=ReceivingTls.ON, tls_verify=True))
    without = built(BASE.with_(listeners=BASE.listeners.put(asking)))
    counting = built(without.config.with_(crl=CrlSettings(check_inbound=True)), without)
    assert counting.inbound_contexts["demo?verify"].options & ssl.OP_NO_TICKET
    assert not without.inbound_contexts["demo?verify"].options & ssl.OP_NO_TICKET
    assert counting.inbound_contexts["demo"] is without.inbound_contexts["demo"]
    assert counting.gui_contexts["demo"] is without.gui_contexts["demo"]
