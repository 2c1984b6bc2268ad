"""Floor 2: the protocol. Flows use an ``Engine``; only ``engines`` imports msal and authlib."""
