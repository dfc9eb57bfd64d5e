"""What the appliance trusts and keeps outside the configuration: the system list, revocation lists, watch over expiry."""
