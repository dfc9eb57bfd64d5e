"""NIST PKITS, its sections about revocation lists, against `certconfig > CRL` (`make corpus`; docs/verification.md).

All lists of the suite are configured at once. An appliance fetches the lists that its operator names and never asks for more,
so what the suite refuses because no list counts is accepted here (certconfig.md 6); everything that a list revokes is refused.
"""

from __future__ import annotations

import re
from functools import cache

import pytest

from appliance_runtime.delivery.verify import Rules, TrustAnchors, verify
from appliance_state.certificates.crl import CrlProblem, RevocationLists, read_crl

pytest.importorskip("cryptography_vectors", reason="make corpus installs it")
from tests.corpus.test_pkits import ANCHOR, CERTIFICATES, FOLDER, NOW, POLICY, REVOCATION, path_of

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

NO_LIST = "no list that counts"
SIGNED_BY_ANOTHER = "the list is signed with a key that is in no certificate of the path"
INDIRECT, DELTA = "lists about other issuers are not read", "lists of changes are not read"
UNKNOWN = "a list with an unknown critical extension must not be used (RFC 5280 5.2)"
DIFFERENT = {
    "InvalidBadCRLIssuerNameTest5EE": NO_LIST,
    "InvalidBadCRLSignatureTest4EE": NO_LIST,
    "InvalidMissingCRLTest1EE": NO_LIST,
    "InvalidWrongCRLTest6EE": NO_LIST,
    "InvalidOldCRLnextUpdateTest11EE": NO_LIST,
    "Invalidpre2000CRLnextUpdateTest12EE": NO_LIST,
    "InvalidkeyUsageCriticalcRLSignFalseTest4EE": NO_LIST,
    "InvalidkeyUsageNotCriticalcRLSignFalseTest5EE": NO_LIST,
    "InvaliddistributionPointTest3EE": NO_LIST,
    "InvaliddistributionPointTest8EE": NO_LIST,
    "InvaliddistributionPointTest9EE": NO_LIST,
    "InvalidonlyContainsAttributeCertsTest14EE": NO_LIST,
    "InvalidonlyContainsCACertsTest12EE": NO_LIST,
    "InvalidonlyContainsUserCertsTest11EE": NO_LIST,
    "InvalidonlySomeReasonsTest17EE": NO_LIST,
    "InvalidBasicSelfIssuedCRLSigningKeyTest7EE": SIGNED_BY_ANOTHER,
    "InvalidBasicSelfIssuedNewWithOldTest5EE": SIGNED_BY_ANOTHER,
    "InvalidSeparateCertificateandCRLKeysTest20EE": SIGNED_BY_ANOTHER,
    "InvalidSeparateCertificateandCRLKeysTest21EE": SIGNED_BY_ANOTHER,
    "InvalidIDPwithindirectCRLTest23EE": INDIRECT,
    "InvalidIDPwithindirectCRLTest26EE": INDIRECT,
    "InvalidcRLIssuerTest27EE": INDIRECT,
    "InvalidcRLIssuerTest31EE": INDIRECT,
    "InvalidcRLIssuerTest32EE": INDIRECT,
    "InvalidcRLIssuerTest34EE": INDIRECT,
    "InvalidcRLIssuerTest35EE": INDIRECT,
    "InvaliddeltaCRLIndicatorNoBaseTest1EE": DELTA,
    "InvaliddeltaCRLTest4EE": DELTA,
    "InvaliddeltaCRLTest10EE": DELTA,
    "ValiddeltaCRLTest5EE": DELTA,
    "InvalidUnknownCRLExtensionTest9EE": UNKNOWN,
    "InvalidUnknownCRLExtensionTest10EE": UNKNOWN,
}
CASES = [name for name in CERTIFICATES if re.search(r"Test\d+(EE)?$", name) and REVOCATION.search(name) and not POLICY.search(name)]


@cache
def anchors() -> TrustAnchors:
    """The anchor of the suite with all its lists."""
    found = []
    for path in sorted((FOLDER.parent / "crls").glob("*.crl")):
        try:
            found.append(read_crl(path.read_bytes(), pem=False))
        except CrlProblem:
            continue
    assert len(found) == 163
    return TrustAnchors([ANCHOR.der], revocations=RevocationLists(found))


@pytest.mark.parametrize("name", CASES)
def test_path(name: str) -> None:
    result = verify(path_of(name), anchors(), Rules(hosted=False), [], NOW)
    assert (not result.path) == (name.startswith("Invalid") != (name in DIFFERENT)), result.text


def test_the_suite_is_there() -> None:
    assert len(CASES) == 74 and set(DIFFERENT) <= set(CASES)
