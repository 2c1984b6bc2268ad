"""What other libraries accept as a source of tokens: one module for each interface.

All objects here keep a client, an account and scopes. Pickling one stores these names, and no
token.
"""
