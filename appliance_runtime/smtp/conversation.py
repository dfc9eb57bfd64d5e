"""One SMTP session as policy and log see it: what the listener answers, what is counted, which lines are written.

Between the engine, which knows the protocol, and the connection, which knows sockets and TLS. Order and conditions of the
log lines: logs-and-alerts.md 2; limits and answers: listenerconfig.md 11. 250 to a message only after the queue has
stored it; while it does, and while a limit that sessions share is asked, the engine waits, and `changed` is called when its
answer has been put in.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from appliance_runtime.queue.body import is_verbatim
from appliance_runtime.queue.envelope import NewMessage
from appliance_runtime.queue.errors import QueueFull
from appliance_runtime.smtp import events, replies
from appliance_runtime.smtp.access import CompiledListener
from appliance_runtime.smtp.engine import Engine
from appliance_runtime.smtp.limits import Answer, counted_client
from appliance_runtime.smtp.message_data import Content, Header, Refusal
from appliance_runtime.smtp.received import message_id, new_message_id, received_field, subject
from appliance_runtime.smtp.recipients import REJECTED
from appliance_runtime.smtp.surroundings import Peer, Services
from appliance_runtime.smtp.transaction import Transaction
from appliance_state.model import Config
from appliance_state.model.listeners import Access, Behavior, ListenerType, RatEntry, ReceivingTls

CONNECTION_LIMIT = "Connection limit exceeded"
REFUSALS = {
    Refusal.SIZE: "Message size exceeds limit",
    Refusal.HEADER: "Message header size exceeds limit",
    Refusal.HOPS: "Message loop",
    Refusal.BARE: "Message contains bare CR or LF",
}


class Conversation:
    """`accepted`: messages accepted so far. `waiting`: for the queue, or a limit. `said_goodbye`: QUIT came."""

    def __init__(
        self,
        services: Services,
        config: Config,
        listener: CompiledListener,
        peer: Peer,
        changed: Callable[[], None],
        *,
        tls_available: bool,
    ) -> None:
        decision = peer.decision
        self._services = services
        self._logs = services.logs
        self._listener = listener
        self._parameters = decision.parameters
        self._log_globals = config.log_globals
        self._zone = ZoneInfo(config.system.timezone)
        self._changed = changed
        self._tls_available = tls_available
        self._client = counted_client(peer.address, self._parameters.significant_bits or 0)
        self._rejecting = decision.behavior is Behavior.REJECT
        self._relaying = decision.behavior is Behavior.RELAY
        self._dropping = listener.listener.type is ListenerType.BLACKHOLE
        self._trace = services.logs.wants("icid.command")
        self._transaction: Transaction | None = None
        self._cipher: tuple[str, str] | None = None
        self._refused = False
        self._counted_in_tls = False
        self._messages = 0
        self.peer = peer
        self.icid = peer.icid
        self.engine = Engine(decision.treatment.settings, trace=self._trace)
        self.accepted = 0
        self.waiting = False
        self.said_goodbye = False
        self.more = False

    # the session

    def begin(self, refusal: bytes | None = None) -> None:
        """Write the first lines and the banner. `refusal`: reply that a limit of connections demands instead."""
        peer, decision, limits = self.peer, self.peer.decision, self._listener.globals
        treatment = decision.treatment
        self._logs.event(
            "icid.open",
            icid=self.icid,
            interface=self._listener.interface.name,
            interface_ip=peer.interface_ip,
            ip=peer.ip,
            hostname=peer.reverse.name or "unknown",
            verified="yes" if peer.reverse.verified else "no",
        )
        self._logs.event(
            "icid.policy", icid=self.icid, behavior=decision.behavior.value.upper(), group=decision.group, entry=decision.entry
        )
        if refusal is not None:
            self._refused = True
            self._exceeded(refusal)
        elif self._rejecting and not limits.hat_delayed_reject:
            self._refused = True
            self.engine.close(replies.rejection(treatment.banner_name, self._parameters, peer.variables))
        else:
            if self._rejecting:
                self._logs.event("icid.delayed_reject", icid=self.icid, ip=peer.ip)
            self.engine.say(replies.greeting(treatment.banner_name, self._parameters, peer.variables))

    def run(self) -> bytes:
        """Work on what has come in; the replies. `more`: there is more to work on when these have been sent."""
        engine = self.engine
        next_event = engine.next_event
        while (event := next_event()) is not None:
            _HANDLERS[event.__class__](self, event)
        self.more = engine.brimming
        taken = engine.take_replies()
        if taken and self._trace:
            for line in taken.decode("utf-8", "surrogateescape").splitlines():
                self._logs.event("icid.reply", icid=self.icid, line=line)
        return taken

    def tls_succeeded(self, version: str, cipher: str, client_name: str | None) -> None:
        self._cipher = (version, cipher)
        self._logs.event("icid.tls_success", icid=self.icid, protocol=version, cipher=cipher)
        if self._parameters.tls_verify and client_name is not None:
            self._logs.event("icid.tls_client_success", icid=self.icid, common_name=client_name)
        self.engine.tls_established()

    def tls_failed(self, reason: str, client_certificate: str | None) -> None:
        """`client_certificate`: what is wrong with the one that was sent."""
        if client_certificate is not None:
            self._logs.event("icid.tls_client_failed", icid=self.icid, reason=client_certificate)
        self._logs.event("icid.tls_failed", icid=self.icid, reason=reason)
        self.engine.close()

    def time_out(self) -> None:
        """No message was accepted in time."""
        self._logs.event("icid.timeout", icid=self.icid, ip=self.peer.ip)
        self.engine.close(replies.TIMED_OUT)

    def overstay(self) -> None:
        """The allowed connection time is over."""
        self._logs.event("icid.overtime", icid=self.icid, ip=self.peer.ip)
        self.engine.close(replies.OVERTIME)

    def leave(self) -> None:
        """The appliance ends the session."""
        self.engine.close(replies.closing(self.peer.decision.treatment.settings.host))

    def end(self, *, lost: bool) -> None:
        """Write the last lines. `lost`: the client vanished without QUIT."""
        self._abort("Receiving aborted")
        if self._counted_in_tls:
            self._services.limits.leave_tls()
        if self._parameters.tls is ReceivingTls.REQUIRE and not self.engine.tls_active and not self._refused:
            self._logs.event("icid.tls_required", icid=self.icid)
        if lost:
            self._logs.event("icid.lost", icid=self.icid)
        self._logs.event("icid.close", icid=self.icid)

    # events of the engine

    def _sender(self, event: events.Sender) -> None:
        if self._messages >= (self._parameters.max_msgs_per_session or 1):
            self._exceeded(replies.TOO_MANY_MESSAGES)
            return
        if not self._rejecting:
            mid = self._services.queue.next_mid()
            self._transaction = Transaction(mid, event.address)
            self._logs.event("mid.start", mid=mid, icid=self.icid)
            self._logs.event("mid.from", mid=mid, icid=self.icid, sender=event.address)
        self.engine.accept()

    def _recipient(self, event: events.Recipient) -> None:
        transaction, parameters = self._transaction, self._parameters
        if transaction is None:
            self._reject_recipient(self._delayed_rejection())
            return
        if len(transaction.recipients) >= (parameters.max_rcpts_per_msg or 1):
            self._reject_recipient(replies.TOO_MANY_RECIPIENTS)
            return
        address = self._listener.domain_map.rewrite(event.address)
        access = self._listener.recipients
        entry = (access.entry(address) or REJECTED) if access is not None and not self._relaying else None
        if entry is not None and entry.access is Access.REJECT:
            lines = replies.lines_of(entry.response_text) if entry.response_text else [replies.ADDRESS_REJECTED]
            self._reject_recipient(replies.reply(entry.response_code or 550, *lines), "RAT", address)
            return
        if entry and entry.bypass_receiving_control:
            self._take_recipient(event, address, entry, True)
            return
        limit, period = parameters.max_rcpts_per_hour or 0, self._listener.globals.counter_reset_period
        self._ask(
            partial(self._services.limits.take_recipient, self._client, limit, period),
            partial(self._take_recipient, event, address, entry),
        )

    def _take_recipient(self, event: events.Recipient, address: str, entry: RatEntry | None, allowed: bool) -> None:
        transaction = self._transaction
        assert transaction is not None
        if not allowed:
            self._reject_recipient(replies.hourly_limit(self._parameters, self.peer.variables), "Injection Control", address)
            return
        rid = len(transaction.recipients)
        transaction.recipients.append(address)
        self._logs.event("mid.to", mid=transaction.mid, icid=self.icid, rid=rid, recipient=address)
        self.engine.accept(replies.custom_acceptance(entry, event.address))

    def _reject_recipient(self, reply: bytes, by: str = "", address: str = "") -> None:
        if by and self._transaction is not None:
            self._logs.event("mid.rcpt_rejected", mid=self._transaction.mid, icid=self.icid, recipient=address, by=by)
        self._services.counters.add("rejected_recips")
        self.engine.refuse(reply)

    def _delayed_rejection(self) -> bytes:
        limits = self._listener.globals
        text = limits.hat_delayed_reject_text
        return replies.reply(limits.hat_delayed_reject_code, *(replies.lines_of(text) if text else [replies.RECIPIENT_REPUTATION]))

    def _start_tls(self, _: events.StartTls) -> None:
        if not self._tls_available:
            self.engine.refuse(replies.TLS_NOT_AVAILABLE)
        else:
            limit = self._listener.globals.max_tls_connections
            self._ask(partial(self._services.limits.enter_tls, self.icid, limit), self._enter_tls)

    def _enter_tls(self, allowed: bool) -> None:
        if allowed:
            self._counted_in_tls = True
            self.engine.accept()
        else:
            self._exceeded(replies.TOO_MANY_TLS)

    def _ask(self, question: Callable[[Answer], None], decide: Callable[[bool], None]) -> None:
        """Have a limit that sessions share decide, now or later."""
        asking = True

        def answer(allowed: bool) -> None:
            self.waiting = False
            if self.engine.deciding:  # else a limit of time has ended the session
                decide(allowed)
            if not asking:
                self._changed()

        self.waiting = True
        question(answer)
        asking = False

    def _header(self, event: Header) -> None:
        transaction = self._transaction
        assert transaction is not None
        logged, now = self._log_globals, self._services.clock.now()
        host = self.peer.decision.treatment.settings.host
        adding = self._relaying or self._listener.globals.add_message_id
        front = b""
        if self._listener.listener.add_received_header:
            date = self._services.dates.text(now, self._zone)
            front = received_field(
                hello=self.engine.hello, client=self.peer.ip, host=host, cipher=self._cipher, date=date
            )  # fmt: skip
        if adding or logged.message_id:
            transaction.message_id = message_id(event.fields)
            if adding and transaction.message_id is None:
                transaction.message_id = new_message_id(transaction.mid, host, now)
                front += f"Message-ID: {transaction.message_id}\r\n".encode()
        if logged.subject:
            transaction.subject = subject(event.fields)
        if event.missing and front:
            front += b"\r\n"
        transaction.verbatim = is_verbatim(front)
        if self._listener.masquerade:
            fields, transaction.masqueraded = self._listener.masquerade.header(event.fields)
            transaction.rewritten = len(event.fields), fields
            transaction.verbatim = False
        if not self._dropping:
            transaction.body = self._services.queue.new_body()
        transaction.write(front)

    def _content(self, event: Content) -> None:
        transaction, data = self._transaction, event.data
        assert transaction is not None
        if transaction.rewritten is not None:
            length, fields = transaction.rewritten
            transaction.rewritten = None
            data = fields + data[length:]
        transaction.write(data)

    def _complete(self, event: events.MessageComplete) -> None:
        transaction = self._transaction
        assert transaction is not None
        self._messages += 1
        mid, sender, logs = transaction.mid, transaction.sender, self._logs
        direction = "outbound" if self._relaying else "inbound"
        if transaction.message_id is not None and self._log_globals.message_id:
            logs.event("mid.message_id", mid=mid, message_id=_quoted(transaction.message_id))
        if transaction.subject is not None:
            logs.event("mid.subject", mid=mid, subject=transaction.subject)
        logs.event("mid.ready", mid=mid, size=transaction.size, sender=sender)
        logs.event("mid.policy", mid=mid, direction=direction)
        if (masqueraded := self._listener.masquerade.envelope_sender(sender)) != sender:
            logs.event("mid.masquerade_sender", mid=mid, old=sender, new=masqueraded)
            sender = masqueraded
        for name, old, new in transaction.masqueraded:
            logs.event("mid.masquerade_header", mid=mid, header=name, old=old, new=new)
        if self._dropping:
            self._services.counters.add("dropped_msgs")
            self._abort(f"Dropped by listener '{self._listener.listener.name}'")
            self.accepted += 1
            self.engine.accept(replies.message_accepted(mid))
            return
        assert transaction.body is not None  # a message always has a header, if an empty one
        self.waiting = True
        transaction.body.verbatim = event.verbatim and transaction.verbatim
        message = NewMessage(
            mid=mid,
            sender=sender,
            recipients=tuple(transaction.recipients),
            body=transaction.body,
            received=self._services.clock.now(),
            listener=self._listener.listener.name,
            bounce_profile=self._listener.listener.bounce_profile,
            direction=direction,
            icid=self.icid,
        )
        transaction.body = None  # the queue's from here on
        self._services.queue.submit(message, self._stored)

    def _stored(self, error: Exception | None) -> None:
        transaction = self._transaction
        assert transaction is not None
        self.waiting = False
        if error is None:
            reply = replies.message_accepted(transaction.mid)
            self._transaction = None
            self.accepted += 1
        else:
            reply = replies.QUEUE_FULL if isinstance(error, QueueFull) else replies.SERVER_ERROR
            self._abort("Receiving aborted")
        if self.engine.deciding:
            self.engine.accept(reply)
        self._changed()

    def _refusal(self, event: events.Refused) -> None:
        if self._transaction is not None:
            self._messages += 1
        self._logs.event("icid.receiving_failed", icid=self.icid, reason=REFUSALS[event.refusal])
        self._abort("Receiving aborted")

    def _reset(self, _: events.Reset) -> None:
        self._abort("Receiving aborted")

    def _quit(self, _: events.Quit) -> None:
        self.said_goodbye = True

    def _bad_sender(self, event: events.BadSender) -> None:
        self._logs.event("icid.bad_sender", icid=self.icid, argument=event.argument)

    def _bad_recipient(self, event: events.BadRecipient) -> None:
        if self._transaction is not None:
            self._logs.event("icid.bad_recipient", icid=self.icid, mid=self._transaction.mid, command=event.command)

    def _unknown(self, event: events.Unknown) -> None:
        self._logs.event("icid.unknown", icid=self.icid, command=event.command)

    def _command(self, event: events.CommandLine) -> None:
        self._logs.event("icid.command", icid=self.icid, line=event.text)

    def _bad_commands(self, _: events.TooManyBadCommands) -> None:
        """The engine has said all there is to say."""

    # ends

    def _exceeded(self, reply: bytes) -> None:
        self._logs.event("icid.receiving_failed", icid=self.icid, reason=CONNECTION_LIMIT)
        self.engine.close(reply)

    def _abort(self, reason: str) -> None:
        """End the transaction, if there is one, without a message."""
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            return
        if transaction.body is not None:
            transaction.body.discard()
        self._logs.event("mid.aborted", mid=transaction.mid, reason=reason)
        self._logs.event("mid.finished", mid=transaction.mid, outcome="aborted")


def _quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


_HANDLERS: dict[type[Any], Callable[[Conversation, Any], None]] = {
    events.Sender: Conversation._sender,
    events.Recipient: Conversation._recipient,
    events.StartTls: Conversation._start_tls,
    events.MessageComplete: Conversation._complete,
    Header: Conversation._header,
    Content: Conversation._content,
    events.Refused: Conversation._refusal,
    events.BadSender: Conversation._bad_sender,
    events.BadRecipient: Conversation._bad_recipient,
    events.Unknown: Conversation._unknown,
    events.CommandLine: Conversation._command,
    events.Reset: Conversation._reset,
    events.Quit: Conversation._quit,
    events.TooManyBadCommands: Conversation._bad_commands,
}
