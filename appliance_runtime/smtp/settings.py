"""What one class of clients of a listener sees of the SMTP server, with the replies that follow from it alone."""

from __future__ import annotations

from functools import cached_property

from attrs import frozen

from appliance_runtime.smtp import replies
from appliance_state.model.listeners import CleanSmtp, ReceivingTls


@frozen(kw_only=True)
class EngineSettings:
    """What one class of clients of a listener sees. `host`: name in replies; sizes in octets."""

    host: str
    max_message_size: int
    max_header_lines: int = 0
    tls: ReceivingTls = ReceivingTls.OFF
    clean_smtp: CleanSmtp = CleanSmtp.FIX
    default_domain: str | None = None

    @cached_property
    def hello_reply(self) -> bytes:
        return replies.hello(self.host)

    @cached_property
    def ehlo_reply(self) -> bytes:
        return replies.ehlo(self.host, self.max_message_size, self.tls is not ReceivingTls.OFF)

    @cached_property
    def ehlo_reply_in_tls(self) -> bytes:
        return replies.ehlo(self.host, self.max_message_size, False)

    @cached_property
    def help_reply(self) -> bytes:
        return replies.commands(self.tls is not ReceivingTls.OFF)

    @cached_property
    def quit_reply(self) -> bytes:
        return replies.goodbye(self.host)
