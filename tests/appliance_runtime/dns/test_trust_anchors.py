"""Trust anchors: the built-in keys of the root, and files that a laboratory gives."""

import pytest

from appliance_runtime.dns.trust_anchors import ROOT_KEYS, parse_anchors

KEY = ". IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ=="


def test_both_published_keys_of_the_root_are_built_in() -> None:
    assert [anchor.key_tag for anchor in parse_anchors(ROOT_KEYS)] == [20326, 38696]  # type: ignore[union-attr]


def test_keys_and_digests_may_stand_side_by_side() -> None:
    anchors = parse_anchors(f"; of the laboratory\n\n{KEY}\n. 3600 DS 20326 8 2 {'ab' * 32} ; old\n")
    assert sorted(anchor.rdtype.name for anchor in anchors) == ["DNSKEY", "DS"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no DS or DNSKEY record in it"),
        ("; nothing", "there is no DS or DNSKEY record in it"),
        ("garbage", "malformed"),
        (f"test. IN DS 1 8 2 {'ab' * 32}", "test. DS is no DS or DNSKEY record of the root zone"),
        (". IN MX 10 mx.", ". MX is no DS or DNSKEY record of the root zone"),
        (". IN DS 1 8 2 abcd", "digest length"),
    ],
)
def test_what_is_no_anchor_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace(".", r"\.")):
        parse_anchors(text)
