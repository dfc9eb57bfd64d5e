"""Mail out: delivery from the queue, and accept-and-relay, against Postfix in the same run (`make bench-outbound`)."""
