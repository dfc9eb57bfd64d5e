"""Three-way merge: the table of commit.md 3, object by object."""

import attrs
import pytest

from appliance_state.merge import merge
from appliance_state.model import Config
from appliance_state.model.alerts import AlertRecipient
from appliance_state.model.certificates import CertificateAuthorities, CertificateProfile, CrlSource, KeyMaterial, SecretRef
from appliance_state.model.destinations import Destination, TlsSupport
from appliance_state.model.listeners import Listener, ListenerType, RatEntry, ReceivingTls, new_listener
from appliance_state.model.updates import Updates
from appliance_state.table import Table
from appliance_state.validate import problems

LISTENER = new_listener(name="InboundMail", uid="l1", kind=ListenerType.PUBLIC, interface="Management", accept=("a.test", "b.test"))
BASE = Config().with_(
    listeners=Config().listeners.put(LISTENER),
    destinations=Config().destinations.put(Destination(domain="partner.test"), Destination(domain="other.test")),
)


def with_listener(**changes: object) -> Config:
    return BASE.with_(listeners=BASE.listeners.replace("InboundMail", attrs.evolve(LISTENER, **changes)))  # type: ignore[arg-type]


def with_destination(entry: Destination) -> Config:
    return BASE.with_(destinations=BASE.destinations.put(entry))


def listener(config: Config) -> Listener:
    return config.listeners["InboundMail"]


def test_different_fields_of_one_listener_merge() -> None:
    merged, conflicts = merge(BASE, with_listener(tls_certificate="mine"), with_listener(max_concurrency=5))
    assert not conflicts
    assert (listener(merged).tls_certificate, listener(merged).max_concurrency) == ("mine", 5)


def test_the_same_field_is_a_conflict_with_its_three_values() -> None:
    own, running = with_listener(tls_certificate="mine"), with_listener(tls_certificate="theirs")
    merged, (conflict,) = merge(BASE, own, running)
    assert conflict.title == 'listener "InboundMail": tls_certificate'
    assert (conflict.original, conflict.own, conflict.committed) == ("Demo", "mine", "theirs")
    assert listener(merged).tls_certificate == "theirs"
    decided, left = merge(BASE, own, running, {conflict.path: "own"})
    assert not left
    assert listener(decided).tls_certificate == "mine"


def test_the_same_change_on_both_sides_is_none() -> None:
    changed = with_listener(tls_certificate="both")
    assert merge(BASE, changed, with_listener(tls_certificate="both")) == (changed, [])


@pytest.mark.parametrize("own_deletes", [True, False])
def test_deleted_and_changed_is_a_conflict(own_deletes: bool) -> None:
    gone = BASE.with_(destinations=BASE.destinations.without("partner.test"))
    changed = with_destination(Destination(domain="partner.test", tls_support=TlsSupport.REQUIRED))
    own, running = (gone, changed) if own_deletes else (changed, gone)
    _, (conflict,) = merge(BASE, own, running)
    assert conflict.title == 'destination "partner.test"'
    assert conflict.original == "present"
    assert (conflict.own, conflict.committed)[not own_deletes] == "deleted"
    assert (conflict.own, conflict.committed)[own_deletes] == "tls_support Required"


def test_deleted_on_one_side_and_untouched_on_the_other_is_deleted() -> None:
    gone = BASE.with_(destinations=BASE.destinations.without("partner.test"))
    merged, conflicts = merge(BASE, gone, with_destination(Destination(domain="other.test", max_host_concurrency=1)))
    assert not conflicts
    assert "partner.test" not in merged.destinations
    assert merged.destinations["other.test"].max_host_concurrency == 1


def test_added_by_both_with_equal_content_is_one_object_else_a_conflict() -> None:
    one = with_destination(Destination(domain="new.test", tls_support=TlsSupport.REQUIRED))
    merged, conflicts = merge(BASE, one, with_destination(Destination(domain="new.test", tls_support=TlsSupport.REQUIRED)))
    assert not conflicts and "new.test" in merged.destinations
    _, (conflict,) = merge(BASE, one, with_destination(Destination(domain="new.test")))
    assert conflict.title == 'destination "new.test"'


def test_a_renamed_listener_merges_with_an_edit_of_the_old_name() -> None:
    merged, conflicts = merge(BASE, with_listener(name="Renamed"), with_listener(port=2525))
    assert not conflicts
    assert list(merged.listeners) == ["Renamed"]
    assert merged.listeners["Renamed"].port == 2525


def test_sets_never_conflict() -> None:
    def recipient(*subscriptions: tuple[str, str]) -> Config:
        entry = AlertRecipient(address="ops@example.com", subscriptions=frozenset(subscriptions))
        return BASE.with_(alerts=attrs.evolve(BASE.alerts, recipients=BASE.alerts.recipients.put(entry)))

    base = recipient(("System", "Warning"))
    merged, conflicts = merge(base, recipient(("System", "Warning"), ("Updater", "Warning")), recipient(("Hardware", "Critical")))
    assert not conflicts
    assert merged.alerts.recipients["ops@example.com"].subscriptions == {("Updater", "Warning"), ("Hardware", "Critical")}


def test_ordered_lists_keep_the_running_order_and_insert_own_additions_behind_their_predecessor() -> None:
    a, b, everyone = LISTENER.rat
    own = with_listener(rat=(a, RatEntry(address="mine.test"), b, everyone))
    running = with_listener(rat=(RatEntry(address="theirs.test"), b, a, everyone))
    merged, conflicts = merge(BASE, own, running)
    assert not conflicts
    assert [entry.address for entry in listener(merged).rat] == ["theirs.test", "b.test", "a.test", "mine.test", "ALL"]


def test_a_new_order_on_both_sides_is_a_conflict_on_order() -> None:
    entries = tuple(RatEntry(address=f"{name}.test") for name in "abc")
    base = with_listener(rat=entries)
    own = with_listener(rat=(entries[1], entries[0], entries[2]))
    running = with_listener(rat=(entries[0], entries[2], entries[1]))
    _, (conflict,) = merge(base, own, running)
    assert conflict.path[-1] == "order"


def test_policy_parameters_merge_one_by_one() -> None:
    own = with_listener(hat_default=attrs.evolve(LISTENER.hat_default, tls=ReceivingTls.REQUIRE))
    running = with_listener(hat_default=attrs.evolve(LISTENER.hat_default, max_rcpts_per_msg=7))
    merged, conflicts = merge(BASE, own, running)
    assert not conflicts
    assert (listener(merged).hat_default.tls, listener(merged).hat_default.max_rcpts_per_msg) == (ReceivingTls.REQUIRE, 7)


def test_key_material_is_one_value() -> None:
    def profile(text: str) -> Config:
        entry = CertificateProfile(name="mail", material=KeyMaterial(certificate=text, intermediates=(text,)))
        return BASE.with_(certificates=BASE.certificates.put(entry))

    _, (conflict,) = merge(profile("base"), profile("own"), profile("running"))
    assert conflict.title == 'certificate "mail": material'
    assert "own" not in conflict.own, "material is described, never printed"


def with_ssl(**changes: object) -> Config:
    return BASE.with_(ssl=attrs.evolve(BASE.ssl, **changes))  # type: ignore[arg-type]


def test_tls_settings_merge_field_by_field_and_methods_as_sets() -> None:
    own = with_ssl(inbound_ciphers="AES128", gui_methods=frozenset({"tlsv1_1", "tlsv1_2", "tlsv1_3"}))
    running = with_ssl(peer_cert_fqdn=True, gui_methods=frozenset({"tlsv1_3"}))
    merged, conflicts = merge(BASE, own, running)
    assert not conflicts
    assert merged.ssl == attrs.evolve(
        BASE.ssl, inbound_ciphers="AES128", peer_cert_fqdn=True, gui_methods=frozenset({"tlsv1_1", "tlsv1_3"})
    )
    gap = 'GUI HTTPS: "TLS v1.1" and "TLS v1.3" can be enabled together only if "TLS v1.2" is enabled too.'
    assert gap in problems(merged, {}.__getitem__), "what no side wanted is refused by the commit"


def test_a_cipher_string_is_one_value() -> None:
    _, (conflict,) = merge(BASE, with_ssl(outbound_ciphers="AES128"), with_ssl(outbound_ciphers="AES256"))
    assert conflict.title == "SSL settings: outbound_ciphers"
    assert (conflict.own, conflict.committed) == ("AES128", "AES256")


def test_lists_of_certificates_are_sets_and_the_switches_beside_them_single_values() -> None:
    a, b, c = (f"-----BEGIN CERTIFICATE-----\n{letter}\n-----END CERTIFICATE-----\n" for letter in "abc")

    def trusting(*pems: str, enabled: bool = False) -> Config:
        updates = Updates(trusted_certificates=pems, validate_certificates=not enabled)
        return BASE.with_(certificate_authorities=CertificateAuthorities(custom_list=pems, custom_enabled=enabled), updates=updates)

    base = trusting(a, b)
    merged, conflicts = merge(base, trusting(b, c), trusting(a, b, enabled=True))
    assert not conflicts and merged == trusting(b, c, enabled=True)
    merged, conflicts = merge(base, trusting(a, b, c), trusting(a))
    assert not conflicts and merged == trusting(a, c)


def test_sources_of_revocation_lists_merge_field_by_field() -> None:
    base = BASE.with_(crl_sources=Table([CrlSource(name="lab", url="file:a")]))

    def source(**fields: str) -> Config:
        return base.with_(crl_sources=base.crl_sources.put(attrs.evolve(base.crl_sources["lab"], **fields)))  # type: ignore[arg-type]

    merged, conflicts = merge(base, source(url="file:b"), source(update="off"))
    assert not conflicts and merged.crl_sources["lab"] == CrlSource(name="lab", url="file:b", update="off")
    _, (conflict,) = merge(base, source(url="file:b"), source(url="file:c"))
    assert conflict.title == 'CRL source "lab": url'
    secret, plain = (BASE.with_(updates=Updates(server_url=url)) for url in (SecretRef("s"), "http://u.test/"))
    _, (conflict,) = merge(BASE, secret, plain)
    assert (conflict.title, conflict.own, conflict.committed) == ("update settings: server_url", "(set)", "http://u.test/")
