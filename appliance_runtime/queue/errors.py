"""What can go wrong when a message is to be stored or read."""

from __future__ import annotations


class QueueError(Exception):
    """The queue cannot do it now: `451 #4.3.0 Server Error` to an SMTP client."""


class QueueFull(Exception):
    """No room for the message: `452 #4.3.1 queue full`."""


class UnreadableMessage(QueueError):
    """A stored message is damaged. It has been set aside and is in the queue no more."""
