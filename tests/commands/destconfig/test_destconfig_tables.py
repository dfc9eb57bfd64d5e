"""destconfig: LIST and DETAIL (destconfig.md 6)."""

import pytest
from attrs import evolve

from appliance_state.model import Config
from appliance_state.model.bounces import BounceProfile
from appliance_state.model.destinations import (
    FACTORY_DEFAULT,
    DaneSupport,
    Destination,
    IpSortPref,
    LimitApply,
    LimitType,
    TlsSupport,
)
from commands.destconfig import COMMAND, list_text
from commands.destconfig.listing import detail_text
from tests.support.appliance import make_session
from tests.support.terminal import CTRL_C, run_batch, run_dialog

EXAMPLE = Destination(
    domain="example.com",
    max_host_concurrency=500,
    max_messages_per_connection=50,
    recipient_limit=1000,
    recipient_minutes=60,
    limit_type=LimitType.HOST,
    limit_apply=LimitApply.SYSTEM,
    tls_support=TlsSupport.REQUIRED_VERIFY,
)
PARTNER = Destination(domain="partner.com", tls_support=TlsSupport.REQUIRED, bounce_profile="tls_failed")
LIST = """\
                        Rate      TLS             DANE           Bounce
Domain                  Limiting  Support         Support        Profile
======================  ========  ==============  =============  =========
example.com             On        Req-Verify      Default        Default
partner.com             Default   Req             Default        tls_failed
(Default)               On        Off             No             (Default)
"""
DETAIL_EXAMPLE = """\
example.com
  IP Address Preference: Default
  Maximum messages per connection: 50
  Rate Limiting:
   500 concurrent connections
   1,000 recipients per 60 minutes
   Limits applied to entire domain, across all virtual gateways
  TLS: Required - Verify
  DANE Support: Default
  Bounce Profile: Default
"""
DETAIL_PARTNER = """\
partner.com
  IP Address Preference: Default
  Maximum messages per connection: Default
  Rate Limiting: Default
  TLS: Required
  DANE Support: Default
  Bounce Profile: tls_failed
"""
DETAIL_DEFAULT = """\
Default
  IP Address Preference: IPv6 Preferred
  Maximum messages per connection: 50
  Rate Limiting:
   500 concurrent connections
   No recipient limit
   Limits applied to entire domain, across all virtual gateways
  TLS: No
  DANE Support: No
"""
QUESTION = """\
Enter the domain name to view, or enter DEFAULT to view details for the default, or enter ALL to view details for all:
[]> """


def config_with(*entries: Destination, default: Destination = FACTORY_DEFAULT) -> Config:
    profiles = Config().bounce_profiles.put(BounceProfile(name="tls_failed"))
    return Config().with_(destinations=Config().destinations.put(default, *entries), bounce_profiles=profiles)


async def test_transcript_of_list() -> None:
    session = make_session(config_with(PARTNER, EXAMPLE))
    screen = await run_dialog(COMMAND, session, ["list", ""])
    assert f"[]> list\n\n{LIST}\nThere are currently 2 entries configured.\n" in screen
    assert await run_batch(COMMAND, session, "destconfig list") == (LIST, False)


async def test_transcript_of_detail() -> None:
    session = make_session(config_with(PARTNER, EXAMPLE))
    screen = await run_dialog(COMMAND, session, ["detail", "all", "detail", "x.test", "Partner.com", "detail", "default", "detail", "", ""])
    everything = f"{DETAIL_EXAMPLE}\n{DETAIL_PARTNER}\n{DETAIL_DEFAULT}"
    assert f"[]> detail\n\n{LIST}\n{QUESTION}all\n\n{everything}\nThere are currently 2 entries configured.\n" in screen
    unknown = 'The domain "x.test" was not found in the destination control table.'
    assert f"{QUESTION}x.test\n{unknown}\n\n{QUESTION}Partner.com\n\n{DETAIL_PARTNER}\nThere are" in screen
    assert f"{QUESTION}default\n\n{DETAIL_DEFAULT}\nThere are" in screen
    assert f"{QUESTION}\n\nThere are" in screen
    assert await run_batch(COMMAND, session, "destconfig detail ALL") == (everything, False)
    assert await run_batch(COMMAND, session, "destconfig detail default") == (DETAIL_DEFAULT, False)
    assert await run_batch(COMMAND, session, "destconfig detail x.test") == (f"{unknown}\n", True)


async def test_an_unknown_domain_is_asked_again() -> None:
    session = make_session()
    assert f"{QUESTION}^C\n" in await run_dialog(COMMAND, session, ["detail", "x.test", CTRL_C])


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (TlsSupport.NO, "Off"),
        (TlsSupport.PREFERRED, "Pref"),
        (TlsSupport.REQUIRED, "Req"),
        (TlsSupport.PREFERRED_VERIFY, "Pref-Verify"),
        (TlsSupport.REQUIRED_VERIFY, "Req-Verify"),
        (TlsSupport.REQUIRED_VERIFY_HOSTED, "Req-VerifyHost"),
        (None, "Default"),
    ],
)
def test_tls_words(level: TlsSupport | None, word: str) -> None:
    config = config_with(Destination(domain="a.test", tls_support=level))
    assert list_text(config).splitlines()[3] == f"{'a.test':<24}Default   {word:<16}Default        Default"
    assert f"  TLS: {level.label if level else 'Default'}\n" in detail_text(config, "a.test")


def test_order_and_width() -> None:
    long = "a-domain-with-a-long-name.example.com"
    names = ["example.com", ".example.com", "b.example.com", long, ".z.test"]
    rows = list_text(config_with(*(Destination(domain=name) for name in reversed(names)))).splitlines()
    assert [row.split()[0] for row in rows[3:]] == [long, "b.example.com", "example.com", ".example.com", ".z.test", "(Default)"]
    assert rows[2] == f"{'=' * len(long)}  ========  ==============  =============  ========="
    assert {row.index("Default", 20) for row in rows[3:-1]} == {len(long) + 2}
    assert not any(row.endswith(" ") for row in rows)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"max_host_concurrency": 1}, "On"),
        ({"max_messages_per_connection": 1}, "On"),
        ({"recipient_limit": 0, "recipient_minutes": 1}, "On"),
        ({"tls_support": TlsSupport.NO, "dane_support": DaneSupport.NO}, "Default"),
    ],
)
def test_rate_limiting_of_an_entry(fields: dict[str, object], word: str) -> None:
    config = config_with(evolve(Destination(domain="a.test"), **fields))  # type: ignore[arg-type]
    assert list_text(config).splitlines()[3][24:34].strip() == word


@pytest.mark.parametrize(
    ("concurrency", "limit", "word"), [(500, None, "On"), (0, 300, "On"), (0, 0, "On"), (0, None, "Off"), (1, 300, "On")]
)
def test_rate_limiting_of_the_default(concurrency: int, limit: int | None, word: str) -> None:
    default = evolve(FACTORY_DEFAULT, max_host_concurrency=concurrency, recipient_limit=limit)
    assert list_text(config_with(default=default)).splitlines()[-1][24:34].strip() == word


def test_an_entry_without_tls_has_no_dane() -> None:
    config = config_with(Destination(domain="a.test", tls_support=TlsSupport.NO, dane_support=DaneSupport.NO))
    assert list_text(config).splitlines()[3] == f"{'a.test':<24}Default   Off             No             Default"
    assert "  DANE Support: No\n" in detail_text(config, "a.test")


@pytest.mark.parametrize(
    ("preference", "text"),
    [
        (None, "Default"),
        (IpSortPref.PREFER_V4, "IPv4 Preferred"),
        (IpSortPref.PREFER_V6, "IPv6 Preferred"),
        (IpSortPref.REQUIRE_V4, "IPv4 Required"),
        (IpSortPref.REQUIRE_V6, "IPv6 Required"),
    ],
)
def test_ip_preferences(preference: IpSortPref | None, text: str) -> None:
    config = config_with(Destination(domain="a.test", ip_sort_pref=preference))
    assert f"  IP Address Preference: {text}\n" in detail_text(config, "a.test")


@pytest.mark.parametrize(
    ("entry", "default_limit", "lines"),
    [
        (
            Destination(domain="a.test", recipient_limit=1000000000, recipient_minutes=1, limit_type=LimitType.MXIP),
            None,
            [
                "   Default concurrent connections",
                "   1,000,000,000 recipients per 1 minutes",
                "   Limits applied to each mail exchanger IP address, across all virtual gateways",
            ],
        ),
        (
            Destination(domain="a.test", max_host_concurrency=1000, limit_type=LimitType.HOST),
            None,
            [
                "   1,000 concurrent connections",
                "   No recipient limit",
                "   Limits applied to entire domain, across all virtual gateways",
            ],
        ),
        (
            Destination(domain="a.test", max_host_concurrency=1),
            300,
            [
                "   1 concurrent connections",
                "   Default recipient limit",
                "   Limits applied to entire domain, across all virtual gateways",
            ],
        ),
    ],
)
def test_limits_of_an_entry(entry: Destination, default_limit: int | None, lines: list[str]) -> None:
    config = config_with(entry, default=evolve(FACTORY_DEFAULT, recipient_limit=default_limit))
    assert "\n".join(["  Rate Limiting:", *lines, "  TLS: Default"]) in detail_text(config, "a.test")


def test_unlimited_default() -> None:
    default = evolve(FACTORY_DEFAULT, max_host_concurrency=0, max_messages_per_connection=1000)
    text = detail_text(config_with(default=default), "DEFAULT")
    assert "  Maximum messages per connection: 1,000\n" in text and "   Unlimited concurrent connections\n" in text
