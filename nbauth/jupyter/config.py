"""``%config NbAuth.…``: traitlets that set the session's settings."""

from __future__ import annotations

from typing import Any

from traitlets import Any as AnyTrait
from traitlets import TraitError, observe, validate
from traitlets.config import Configurable

from nbauth.core.flow_names import ALL as FLOWS
from nbauth.jupyter.on_first_use import OnFirstUse

HELP = {
    "profile": "the profile of config.toml to use",
    "client_id": "the application's id",
    "tenant": "a tenant's GUID or domain, or common, organizations, consumers",
    "authority": "an authority's or issuer's address; beats cloud and tenant",
    "metadata_url": "the provider's metadata, where it is not found from its issuer",
    "authorization_endpoint": "where the browser is sent; beats the provider's metadata",
    "token_endpoint": "where tokens are fetched; beats the provider's metadata",
    "device_authorization_endpoint": "where device codes are had; beats the provider's metadata",
    "userinfo_endpoint": "who has signed in; beats the provider's metadata",
    "revocation_endpoint": "where sign-ins are withdrawn; beats the provider's metadata",
    "client_secret_from": "environment or keyring: where the client's secret is, if it has one",
    "cloud": "public, usgov, dod or china",
    "scopes": "the scopes to ask for when none are named",
    "exact_scopes": "whether to ask for these scopes alone, with none added",
    "flow": f"the way to sign in: {', '.join(FLOWS)}",
    "persist": "where sign-ins are kept: memory, keyring or file",
    "hosts": "https host -> scopes: which hosts may get a token",
    "extra_parameters": "name -> value, added to every request of a sign-in",
    "redirect_uri": "the registered address to come back to",
    "open_browser": "true, false, a browser's name or a callable taking the address",
    "success_page": "text of the page shown after signing in",
    "error_page": "text of the page shown after a failure",
    "timeout": "seconds a sign-in may take",
    "redact": "whether outputs are guarded",
    "refresh_ahead": "whether tokens in use are refreshed before they are needed",
    "verify": "true, or a CA file; beats the environment's bundle variables",
    "proxies": "scheme -> proxy address",
    "debug": "whether errors show their traceback",
}


class _Settings(Configurable):  # type: ignore[misc]
    def __init__(self, used: OnFirstUse, **options: Any) -> None:
        self._used = used
        super().__init__(**options)

    @validate(*HELP)
    def _check(self, proposal: Any) -> Any:
        if proposal.value is not None:
            from nbauth.core.errors import ConfigurationError

            check = self._used.session.reader.check
            try:
                check(proposal.trait.name, proposal.value, "%config NbAuth")
            except ConfigurationError as error:
                raise TraitError(" ".join(error.lines())) from error
        return proposal.value

    @observe(*HELP)
    def _set(self, change: Any) -> None:
        self._used.session.configure(**{change.name: change.new})


NbAuth = type(Configurable)(
    "NbAuth",
    (_Settings,),
    {
        "__doc__": "Settings of nbauth here; None leaves each to the environment or profile.",
        **{
            name: AnyTrait(None, allow_none=True, help=said).tag(config=True)
            for name, said in HELP.items()
        },
    },
)
