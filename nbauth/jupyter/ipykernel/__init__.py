"""All that uses a private name of ipykernel. Elsewhere ``import ipykernel`` is the real one."""
