"""The local demo: an identity provider, a Graph and a launcher that never leave this computer.

It stands in for a tenant where there is none. Everything listens on 127.0.0.1 only, with keys,
certificate and password made at every start. The product never imports it; `nbauth demo` does.
"""
