"""What libraries of the field need to get tokens: one module for each library, imported on use.

All objects here keep a client, an account and scopes. Pickling one stores these names, and no
token.
"""
