from __future__ import annotations

from datetime import UTC, datetime
from time import process_time

import certifi
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from appliance_state.certificates.authorities import (
    MAX_FILE,
    custom_enabled_after,
    exported,
    import_authorities,
    trusted_authorities,
    without_ca_flag,
)
from appliance_state.certificates.ca_bundle import packaged_bundle, read_bundle
from appliance_state.certificates.problem import CertificateProblem
from appliance_state.model.certificates import CertificateAuthorities
from tests.support.lab_ca import START, Issued, issue, issuing, mail_leaf, root

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OTHER = issue("Other Root CA", authority=True)
EXPIRED = issue("Old Root CA", authority=True, end=START.replace(year=2026, month=6))
NO_FLAG = issue("flagless.test")
ROOTLESS = issue("Lost Issuing CA", issue("Lost Root CA", authority=True), authority=True)


def take(*parts: Issued | str, present: tuple[str, ...] = (), append: bool = False, fqdn: bool = False) -> tuple[str, ...]:
    text = "\n".join(part if isinstance(part, str) else part.pem for part in parts)
    result = import_authorities(text.encode(), present, append=append, fqdn=fqdn, now=NOW, system=packaged_bundle().certificates)
    assert len(result.imported) == sum(not isinstance(part, str) for part in parts)
    return result.custom_list


def problems(*parts: Issued | str, **options: object) -> list[str]:
    with pytest.raises(CertificateProblem) as caught:
        take(*parts, **options)  # type: ignore[arg-type]
    return str(caught.value).split("\n")


def test_good_roots_with_text_around_them() -> None:
    assert take("# Lab Root CA\xe9", root(), "# Other", OTHER) == (root().pem, OTHER.pem)


def test_an_intermediate_with_its_root() -> None:
    assert take(issuing(), root()) == (issuing().pem, root().pem)


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        ([EXPIRED], '"C=JP,O=Lab,CN=Old Root CA": the certificate has expired.'),
        ([OTHER, OTHER], '"C=JP,O=Lab,CN=Other Root CA": the certificate is contained more than once.'),
        ([NO_FLAG], '"C=JP,O=Lab,CN=flagless.test": the CA flag is not present or is not set to "True".'),
        ([ROOTLESS], '"C=JP,O=Lab,CN=Lost Issuing CA": its root certificate is not present.'),
        (["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"], "Block 2 is not a certificate."),
    ],
)
def test_each_problem_has_its_line_although_a_good_one_is_there(bad: list[Issued | str], line: str) -> None:
    assert problems(root(), *bad) == [line, "No certificate was imported."]


def test_every_problem_is_told() -> None:
    assert problems(EXPIRED, NO_FLAG, ROOTLESS) == [
        '"C=JP,O=Lab,CN=Old Root CA": the certificate has expired.',
        '"C=JP,O=Lab,CN=flagless.test": the CA flag is not present or is not set to "True".',
        '"C=JP,O=Lab,CN=Lost Issuing CA": its root certificate is not present.',
        "No certificate was imported.",
    ]


def test_fqdn() -> None:
    assert take(issue("ca.example.com", authority=True), fqdn=True)
    assert problems(root(), OTHER, fqdn=True) == [
        '"C=JP,O=Lab,CN=Lab Root CA": Common Name "Lab Root CA" is not in Fully Qualified Domain Name(FQDN) format.',
        '"C=JP,O=Lab,CN=Other Root CA": Common Name "Other Root CA" is not in Fully Qualified Domain Name(FQDN) format.',
        "A valid domain name is a string that must match the following rules:",
        "- A label is a set of characters, numbers, dashes, and underscores.",
        "- The first and last character of a label must be a letter or a number.",
        "- The domain must have at least 2 labels separated by a period.",
        "- The last label cannot be all numbers.",
        "No certificate was imported.",
    ]


@pytest.mark.parametrize("data", [b"", b"hello", mail_leaf().key_pem.encode(), root().certificate.public_bytes(Encoding.DER), b"\0" * 1000])
def test_no_certificate_in_the_file(data: bytes) -> None:
    with pytest.raises(CertificateProblem) as caught:
        import_authorities(data, (), append=False, fqdn=False, now=NOW, system=())
    assert str(caught.value) == "Could not read PEM data from file."


def test_a_file_that_is_too_long() -> None:
    data = root().pem.encode() + b"#" * MAX_FILE
    with pytest.raises(CertificateProblem, match="Could not read PEM data from file"):
        import_authorities(data, (), append=False, fqdn=False, now=NOW, system=())


def test_the_file_replaces_the_list() -> None:
    text = OTHER.pem + issuing().pem + root().pem
    result = import_authorities(text.encode(), (root().pem, EXPIRED.pem), append=False, fqdn=False, now=NOW, system=())
    assert result.custom_list == (OTHER.pem, issuing().pem, root().pem)
    assert result.removed == 1


def test_append_adds_and_finds_roots_and_doubles_in_the_list() -> None:
    assert take(issuing(), present=(root().pem,), append=True) == (root().pem, issuing().pem)
    assert problems(issuing(), present=(root().pem,))[0].endswith("its root certificate is not present.")
    assert problems(root(), present=(root().pem,), append=True)[0].endswith("the certificate is contained more than once.")


def test_system_roots_count_as_present_but_not_as_doubles() -> None:
    pem = Issued(packaged_bundle().certificates[0], root().key)
    assert take(pem) == (pem.pem,)


def test_exported_text_can_be_imported() -> None:
    text = exported([root().pem, OTHER.pem], lambda moment: moment.strftime("%Y"))
    assert text == (
        f"# C=JP,O=Lab,CN=Lab Root CA\n# Valid until 2030\n{root().pem}\n# C=JP,O=Lab,CN=Other Root CA\n# Valid until 2030\n{OTHER.pem}\n"
    )
    result = import_authorities(text.encode(), (), append=False, fqdn=False, now=NOW, system=())
    assert result.custom_list == (root().pem, OTHER.pem)


def test_ca_flags() -> None:
    assert without_ca_flag([root().pem, NO_FLAG.pem, "unreadable"]) == ["C=JP,O=Lab,CN=flagless.test"]


def test_the_list_is_enabled_by_the_first_import_and_disabled_with_its_last_certificate() -> None:
    empty = CertificateAuthorities()
    switched_off = CertificateAuthorities(custom_list=(root().pem,))
    assert custom_enabled_after(empty, (root().pem,))
    assert not custom_enabled_after(switched_off, (OTHER.pem,))
    assert not custom_enabled_after(CertificateAuthorities(custom_enabled=True, custom_list=(root().pem,)), ())


def test_anchors_are_the_enabled_lists_and_nothing_else() -> None:
    der = root().certificate.public_bytes(Encoding.DER)
    both = CertificateAuthorities(system_enabled=True, custom_enabled=True, custom_list=(root().pem, "unreadable"))
    assert trusted_authorities(both, packaged_bundle()) == (*packaged_bundle().der, der)
    assert trusted_authorities(CertificateAuthorities(custom_list=(root().pem,)), packaged_bundle()) == packaged_bundle().der
    assert trusted_authorities(
        CertificateAuthorities(system_enabled=False, custom_enabled=True, custom_list=(root().pem,)), packaged_bundle()
    ) == (der,)
    assert trusted_authorities(CertificateAuthorities(system_enabled=False), packaged_bundle()) == ()


def test_system_bundle() -> None:
    bundle = packaged_bundle()
    assert bundle.version == certifi.__version__
    assert len(bundle.certificates) == len(bundle.der) > 80


def test_one_unreadable_root_does_not_disable_the_rest() -> None:
    damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    bundle = read_bundle("1.2", f"{root().pem}{damaged}{OTHER.pem}{root().pem}")
    assert bundle.certificates == (root().certificate, OTHER.certificate)


def test_a_long_chain_costs_a_signature_for_each_link() -> None:
    """700 links, of which each could be walked to the root for itself."""
    links = [root()]
    for number in range(700):
        links.append(issue(f"Level {number}", links[-1], authority=True))
    text = "".join(link.pem for link in reversed(links))
    began = process_time()
    imported = import_authorities(text.encode(), (), append=False, fqdn=False, now=NOW, system=()).imported
    assert len(imported) == 701 and process_time() - began < 5
    with pytest.raises(CertificateProblem) as caught:
        text = "".join(link.pem for link in reversed(links[1:]))
        import_authorities(text.encode(), (), append=False, fqdn=False, now=NOW, system=())
    assert str(caught.value).count("its root certificate is not present.") == 700
