"""A federated user's sign-in at the server of the user's organisation, by WS-Trust.

Microsoft's authority names the server of a user's domain (``realm``). The server's metadata name
its endpoints (``metadata_exchange``). One of them returns a SAML assertion for a password or for a
Kerberos ticket (``wstrust``), and the authority exchanges the assertion for tokens.
"""
