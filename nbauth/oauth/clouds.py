"""Microsoft's clouds: login hosts, Graph addresses and API hosts.

The addresses are from Microsoft's documents "National clouds" and "Application configuration
options".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cloud:
    """One cloud's addresses; ``hosts`` maps each API host to the resource of its tokens.

    A host that begins with a dot matches exactly one label before it (a storage account).
    """

    login_host: str
    graph: str
    hosts: Mapping[str, str]


CLOUDS: dict[str, Cloud] = {
    "public": Cloud(
        "login.microsoftonline.com",
        "https://graph.microsoft.com",
        {
            "graph.microsoft.com": "https://graph.microsoft.com",
            "management.azure.com": "https://management.azure.com/",
            ".blob.core.windows.net": "https://storage.azure.com",
            ".dfs.core.windows.net": "https://storage.azure.com",
            ".queue.core.windows.net": "https://storage.azure.com",
            ".table.core.windows.net": "https://storage.azure.com",
            ".file.core.windows.net": "https://storage.azure.com",
            ".vault.azure.net": "https://vault.azure.net",
            ".database.windows.net": "https://database.windows.net",
        },
    ),
    "usgov": Cloud(
        "login.microsoftonline.us",
        "https://graph.microsoft.us",
        {
            "graph.microsoft.us": "https://graph.microsoft.us",
            "management.usgovcloudapi.net": "https://management.usgovcloudapi.net/",
            ".blob.core.usgovcloudapi.net": "https://storage.azure.com",
            ".dfs.core.usgovcloudapi.net": "https://storage.azure.com",
            ".queue.core.usgovcloudapi.net": "https://storage.azure.com",
            ".table.core.usgovcloudapi.net": "https://storage.azure.com",
            ".vault.usgovcloudapi.net": "https://vault.usgovcloudapi.net",
            ".database.usgovcloudapi.net": "https://database.usgovcloudapi.net",
        },
    ),
    "china": Cloud(
        "login.partner.microsoftonline.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        {
            "microsoftgraph.chinacloudapi.cn": "https://microsoftgraph.chinacloudapi.cn",
            "management.chinacloudapi.cn": "https://management.chinacloudapi.cn/",
            ".blob.core.chinacloudapi.cn": "https://storage.azure.com",
            ".dfs.core.chinacloudapi.cn": "https://storage.azure.com",
            ".queue.core.chinacloudapi.cn": "https://storage.azure.com",
            ".table.core.chinacloudapi.cn": "https://storage.azure.com",
            ".vault.azure.cn": "https://vault.azure.cn",
            ".database.chinacloudapi.cn": "https://database.chinacloudapi.cn",
        },
    ),
}
CLOUDS["dod"] = Cloud(
    "login.microsoftonline.us",
    "https://dod-graph.microsoft.us",
    {
        "dod-graph.microsoft.us": "https://dod-graph.microsoft.us",
        **{host: res for host, res in CLOUDS["usgov"].hosts.items() if "graph" not in host},
    },
)
LOGIN_HOSTS = {
    "login.microsoftonline.com": "public",
    "login.microsoft.com": "public",
    "login.windows.net": "public",
    "sts.windows.net": "public",
    "login.microsoftonline.us": "usgov",
    "login.usgovcloudapi.net": "usgov",
    "login.chinacloudapi.cn": "china",
    "login.partner.microsoftonline.cn": "china",
}
"""Each login host, with its cloud. The hosts of one cloud are aliases (Microsoft's instance
discovery lists them so): they have the same tenants, users and tokens."""
B2C_HOSTS = {".b2clogin.com": "public", ".b2clogin.us": "usgov", ".b2clogin.cn": "china"}
"""The ends of B2C's host names, with their clouds."""
ISSUER_HOSTS = frozenset({*LOGIN_HOSTS, "sts.chinacloudapi.cn"})
"""Hosts that an issuer may have; a login host also serves tenants of other clouds."""


def aliases(host: str) -> frozenset[str]:
    """All login hosts of the cloud of a login host; any other host is its own only alias."""
    cloud = LOGIN_HOSTS.get(host)
    return frozenset({host, *(one for one, its in LOGIN_HOSTS.items() if cloud and its == cloud)})
