"""Floor 2: the protocol. Flows talk to an ``Engine``; only ``engines`` knows msal and authlib."""
