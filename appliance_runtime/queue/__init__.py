"""The durable message queue: what was answered 250 is on disk and is scheduled for delivery (delivery.md 8.1)."""
