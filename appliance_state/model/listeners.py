"""listeners, listener_globals: SMTP servers, host access and recipient access (model.md 3.7, 3.8)."""

from __future__ import annotations

from typing import ClassVar

import attrs
from attrs import frozen

from appliance_state.model.fields import Choice, number, text
from appliance_state.model.interfaces import DEMO

LISTENER_NAME = r"[A-Za-z_][A-Za-z0-9_.-]{0,62}"


class ListenerType(Choice):
    PRIVATE = "private", "Private"
    PUBLIC = "public", "Public"
    BLACKHOLE = "blackhole", "Blackhole"


class CleanSmtp(Choice):
    FIX = "fix", "Convert them to CRLF"
    REJECT = "reject", "Reject the message"
    ALLOW = "allow", "Allow them"


class ReceivingTls(Choice):
    OFF = "off", "No"
    ON = "on", "Preferred"
    REQUIRE = "require", "Required"


class Behavior(Choice):
    ACCEPT = "accept", "Accept"
    RELAY = "relay", "Relay"
    REJECT = "reject", "Reject"
    TCPREFUSE = "tcprefuse", "TCP Refuse"
    CONTINUE = "continue", "Continue"


class MasqueradedField(Choice):
    ENVELOPE_SENDER = "envelope_sender", "Envelope Sender"
    FROM = "from", "From"
    TO = "to", "To"
    CC = "cc", "CC"
    REPLY_TO = "reply_to", "Reply-To"


class Access(Choice):
    ACCEPT = "accept", "Accept"
    REJECT = "reject", "Reject"


@frozen(kw_only=True)
class PolicyParameters:
    """Limits, replies and TLS for a class of clients. None = not set here: a policy or entry takes `hat_default`'s value.

    In `hat_default` itself None means: no override of the host name, no custom text.
    """

    max_message_size: int | None = number(1024, 2147483647, default=None, inherits=True)
    """bytes"""
    max_concurrency: int | None = number(1, 1000000, default=None, inherits=True)
    """connections of one client address"""
    max_msgs_per_session: int | None = number(1, 1000000, default=None, inherits=True)
    max_rcpts_per_msg: int | None = number(1, 1000000, default=None, inherits=True)
    override_hostname: str | None = None
    """name in the banner; empty text = a banner without a name"""
    smtp_banner_code: int | None = number(200, 299, default=None, inherits=True)
    smtp_banner_text: str | None = None
    reject_banner_code: int | None = number(400, 599, default=None, inherits=True)
    reject_banner_text: str | None = None
    max_rcpts_per_hour: int | None = number(-1, 1000000000, default=None, inherits=True)
    """-1 = no limit"""
    max_rcpts_per_hour_code: int | None = number(400, 599, default=None, inherits=True)
    max_rcpts_per_hour_text: str | None = None
    significant_bits: int | None = number(0, 32, default=None, inherits=True)
    """of an IPv4 address that form one client for the hourly limit; 0 = off"""
    tls: ReceivingTls | None = None
    tls_verify: bool | None = None

    def over(self, default: PolicyParameters) -> PolicyParameters:
        """These parameters with those that are not set taken from `default`."""
        own = {f.name: value for f in attrs.fields(PolicyParameters) if (value := getattr(self, f.name)) is not None}
        return attrs.evolve(default, **own) if own else default


def factory_parameters(kind: ListenerType) -> PolicyParameters:
    """`hat_default` of a new listener."""
    private = kind is ListenerType.PRIVATE
    return PolicyParameters(
        max_message_size=104857600 if private else 10485760,
        max_concurrency=600 if private else 10,
        max_msgs_per_session=10000 if private else 10,
        max_rcpts_per_msg=100000 if private else 50,
        smtp_banner_code=220,
        reject_banner_code=554,
        max_rcpts_per_hour=-1,
        max_rcpts_per_hour_code=452,
        max_rcpts_per_hour_text="Too many recipients received this hour",
        significant_bits=0,
        tls=ReceivingTls.OFF,
        tls_verify=False,
    )


@frozen(kw_only=True)
class MailFlowPolicy:
    KEY: ClassVar[str] = "name"

    name: str
    behavior: Behavior
    parameters: PolicyParameters = PolicyParameters()


@frozen(kw_only=True)
class Sender:
    source: str
    """one of the source forms of the host access table, or ALL"""
    comment: str = ""


@frozen(kw_only=True)
class SenderGroup:
    """An entry of the host access table: named group, unnamed single host, or ALL. Has a behavior or names a policy."""

    name: str = ""
    senders: tuple[Sender, ...] = ()
    behavior: Behavior | None = None
    policy: str | None = None
    parameters: PolicyParameters = PolicyParameters()
    comment: str = ""

    @property
    def identity(self) -> str:
        """What tells two entries of one table apart: the name, or the first source of an unnamed one."""
        return self.name or (self.senders[0].source if self.senders else "")


@frozen(kw_only=True)
class RatEntry:
    """An entry of the recipient access table; the last one is ALL."""

    address: str
    access: Access = Access.ACCEPT
    response_code: int | None = number(200, 599, default=None, inherits=True)
    response_text: str | None = None
    bypass_receiving_control: bool = False

    @property
    def identity(self) -> str:
        return self.address


@frozen(kw_only=True)
class DomainMapping:
    original: str
    new: str

    @property
    def identity(self) -> str:
        return self.original


@frozen(kw_only=True)
class Masquerading:
    original: str
    new: str

    @property
    def identity(self) -> str:
        return self.original


def _everyone(policy: str) -> SenderGroup:
    return SenderGroup(senders=(Sender(source="ALL"),), policy=policy, comment="Everyone else")


_THROTTLED = PolicyParameters(
    max_msgs_per_session=10, max_concurrency=10, max_rcpts_per_msg=25, max_rcpts_per_hour=1, max_message_size=1048576
)
_TRUSTED = PolicyParameters(
    max_msgs_per_session=5000, max_concurrency=600, max_rcpts_per_msg=5000, max_rcpts_per_hour=-1, max_message_size=104857600
)


def factory_policies(kind: ListenerType) -> tuple[MailFlowPolicy, ...]:
    """Mail flow policies that a new listener has (listenerconfig.md 3)."""
    accepted = MailFlowPolicy(name="ACCEPTED", behavior=Behavior.ACCEPT)
    blocked = MailFlowPolicy(name="BLOCKED", behavior=Behavior.REJECT)
    match kind:
        case ListenerType.PUBLIC:
            return (
                accepted,
                blocked,
                MailFlowPolicy(name="THROTTLED", behavior=Behavior.ACCEPT, parameters=_THROTTLED),
                MailFlowPolicy(name="TRUSTED", behavior=Behavior.ACCEPT, parameters=_TRUSTED),
            )
        case ListenerType.PRIVATE:
            return (MailFlowPolicy(name="RELAYED", behavior=Behavior.RELAY), blocked)
        case _:
            return (accepted,)


def factory_sender_groups(kind: ListenerType, relay: tuple[str, ...] = ()) -> tuple[SenderGroup, ...]:
    """Host access table of a new listener; `relay` = the systems that a private one relays for."""
    match kind:
        case ListenerType.PUBLIC:
            return (
                SenderGroup(name="WHITELIST", policy="TRUSTED", comment="My trusted senders have no anti-spam scanning or rate limiting"),
                SenderGroup(name="BLACKLIST", policy="BLOCKED", comment="Spammers are rejected"),
                SenderGroup(name="SUSPECTLIST", policy="THROTTLED", comment="Suspicious senders are throttled"),
                SenderGroup(name="UNKNOWNLIST", policy="ACCEPTED", comment="Reviewed but undecided, continue normal acceptance"),
                _everyone("ACCEPTED"),
            )
        case ListenerType.PRIVATE:
            senders = tuple(Sender(source=source) for source in relay)
            return (SenderGroup(name="RELAYLIST", senders=senders, policy="RELAYED"), _everyone("BLOCKED"))
        case _:
            return (_everyone("ACCEPTED"),)


@frozen(kw_only=True)
class Listener:
    KEY: ClassVar[str] = "name"

    name: str = text(LISTENER_NAME)
    uid: str = ""
    type: ListenerType = ListenerType.PUBLIC
    interface: str = ""
    protocol: str = "smtp"
    port: int = number(1, 65535, default=25)
    tls_certificate: str = DEMO
    max_concurrency: int = number(1, 10000, default=1000)
    listen_queue_size: int = number(1, 1024, default=50)
    default_domain: str | None = None
    add_received_header: bool = True
    clean_smtp: CleanSmtp = CleanSmtp.FIX
    bounce_profile: str = "Default"
    hat_default: PolicyParameters = PolicyParameters()
    hat_policies: tuple[MailFlowPolicy, ...] = ()
    hat_sender_groups: tuple[SenderGroup, ...] = ()
    rat: tuple[RatEntry, ...] = ()
    domain_map: tuple[DomainMapping, ...] = ()
    masquerade: tuple[Masquerading, ...] = ()
    masquerade_headers: frozenset[MasqueradedField] = frozenset((MasqueradedField.FROM, MasqueradedField.TO, MasqueradedField.CC))

    def policy(self, name: str) -> MailFlowPolicy | None:
        """The mail flow policy of that name, without regard to case."""
        return next((p for p in self.hat_policies if p.name.casefold() == name.casefold()), None)


def new_listener(
    *, name: str, uid: str, kind: ListenerType, interface: str, port: int = 25, accept: tuple[str, ...] = (), relay: tuple[str, ...] = ()
) -> Listener:
    """A listener as NEW makes it: limits, host access table and recipient access table of its type."""
    rat = (*(RatEntry(address=address) for address in accept), RatEntry(address="ALL", access=Access.REJECT))
    return Listener(
        name=name,
        uid=uid,
        type=kind,
        interface=interface,
        port=port,
        max_concurrency=600 if kind is ListenerType.PRIVATE else 1000,
        hat_default=factory_parameters(kind),
        hat_policies=factory_policies(kind),
        hat_sender_groups=factory_sender_groups(kind, relay),
        rat=rat if kind is ListenerType.PUBLIC else (),
    )


@frozen(kw_only=True)
class ListenerGlobals:
    max_connections: int = number(1, 10000, default=300)
    max_tls_connections: int = number(1, 10000, default=100)
    max_header_lines: int = number(0, 10000, default=1000)
    counter_reset_period: int = number(900, 14400, default=3600)
    unsuccessful_timeout: int = number(10, 3600, default=300)
    max_connection_time: int = number(60, 86400, default=900)
    add_message_id: bool = False
    hat_delayed_reject: bool = False
    hat_delayed_reject_code: int = number(400, 599, default=550)
    hat_delayed_reject_text: str | None = None
