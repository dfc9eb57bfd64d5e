"""Names and addresses: the resolver of the appliance (routing.md 2)."""
