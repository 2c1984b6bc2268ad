"""``%config NbAuth.…``: traitlets that set the session's settings."""

from __future__ import annotations

from typing import Any

from traitlets import Any as AnyTrait
from traitlets import TraitError, observe, validate
from traitlets.config import Configurable

from nbauth.core.flow_names import ALL
from nbauth.jupyter.magic_state import MagicState

HELP = {
    "profile": "the profile of config.toml to use",
    "client_id": "the id of the application that is registered at the provider",
    "tenant": "a tenant's GUID or domain, or common (the default), organizations, consumers",
    "authority": "the address of an authority or issuer; overrides cloud and tenant",
    "metadata_url": "the address of the provider's metadata, if it is not the usual one",
    "authorization_endpoint": "the page to which the browser is sent; overrides the metadata",
    "token_endpoint": "the endpoint that issues tokens; overrides the metadata",
    "device_authorization_endpoint": "the endpoint of device codes; overrides the metadata",
    "userinfo_endpoint": "the endpoint that says who signed in; overrides the metadata",
    "revocation_endpoint": "the endpoint that revokes tokens; overrides the metadata",
    "client_secret_from": "where the client's secret is, if it has one: environment or keyring",
    "token_endpoint_auth_method": "how the client's secret is sent: client_secret_basic or"
    " client_secret_post; default: as the provider's metadata says",
    "client_certificate": "a PEM or PFX file with the client's certificate and its private key",
    "client_certificate_chain": "true: send the certificate too, for a provider that checks its"
    " subject name and issuer; false: send only its thumbprint",
    "client_assertion_file": "a file with an assertion that another service has signed for the"
    " client; it is read each time it is used",
    "cloud": "Microsoft's cloud: public, usgov, dod or china",
    "scopes": "the scopes to request if a call names none",
    "exact_scopes": "true: request these scopes only; false: add the scopes that identify the"
    " account and allow a refresh",
    "flow": f"the way to sign in: {', '.join(ALL)}",
    "persist": "where sign-ins are kept: memory, keyring or file",
    "hosts": "a table: the exact name of each https host, and the scopes of the tokens that it may"
    " get",
    "graph_url": "the address of Microsoft Graph, without a path; default: that of the cloud",
    "extra_parameters": "a table of parameters to send with every request of a sign-in",
    "redirect_uri": "the registered redirect address. For the flows browser and paste, a loopback"
    " address: only one kernel at a time can use its port, and the port is open only during a"
    " sign-in. For the flow callback, the address .../nbauth/callback of the Jupyter server",
    "open_browser": "whether the kernel opens a browser for the sign-in: true, false, the name of a"
    " browser, or a function that takes the address",
    "success_page": "the page that the browser shows after a sign-in: a text, a fragment of HTML"
    " (begins with <), or an https address to go to",
    "error_page": "the page that the browser shows after a failure, as for success_page;"
    " $error is the code and $error_description the message",
    "timeout": "how many seconds a sign-in waits for the person; default: the lifetime of the"
    " device code, or 300",
    "redact": "true: mask the tokens of nbauth in the output of the kernel; false: show them",
    "refresh_ahead": "true: refresh tokens in use before they expire; false: only when needed",
    "verify": "which CAs are trusted: true (those of certifi), a CA file, a folder of CAs, or"
    " system; overrides the variables of the environment",
    "proxies": "a table of proxies, by scheme; overrides the variables of the environment",
    "debug": "true: errors show their traceback",
    "attended": "whether a person can sign in here: true, false, or auto (as the front end"
    " reports)",
}


class _Settings(Configurable):  # type: ignore[misc]
    def __init__(self, state: MagicState, **options: Any) -> None:
        self._state = state
        self._refused: set[str] = set()
        super().__init__(**options)

    @validate(*HELP)
    def _check(self, proposal: Any) -> Any:
        if proposal.value is not None:
            from nbauth.core.errors import ConfigurationError

            check = self._state.session.reader.check
            try:
                check(proposal.trait.name, proposal.value, "%config NbAuth")
            except ConfigurationError as error:
                self._refused.add(proposal.trait.name)
                raise TraitError(" ".join(error.lines())) from error
        return proposal.value

    def remove_refused(self) -> None:
        """Remove refused values from the shell's configuration, where ``%config`` also wrote them.

        The next load of the extension would read them there. ``%config`` may write them after the
        refusal: it updates objects in the order of their class names.
        """
        section = self.parent.config.get("NbAuth", {})
        for name in self._refused & section.keys():
            value = getattr(self, name)
            if value is None:
                del section[name]
            else:
                section[name] = value

    @observe(*HELP)
    def _set(self, change: Any) -> None:
        self._state.session.configure(**{change.name: change.new})


NbAuth = type(Configurable)(
    "NbAuth",
    (_Settings,),
    {
        "__doc__": "Settings of nbauth for this kernel. With None, the environment or the profile"
        " decides.",
        **{
            name: AnyTrait(None, allow_none=True, help=said).tag(config=True)
            for name, said in HELP.items()
        },
    },
)
