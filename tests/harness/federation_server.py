"""A stand-in for AD FS: WS-MetadataExchange and the two WS-Trust endpoints, with real Kerberos.

Its metadata have the structure of those of AD FS. The assertions are not signed by XML-DSig; the
provider of the tests accepts an assertion only if none of its bytes has changed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from nbauth.oauth.federation.metadata_exchange import Kind, Version
from nbauth.oauth.federation.namespaces import (
    ADDRESSING,
    NEGOTIATE,
    POLICY,
    SECURITY,
    SECURITY_POLICIES,
    SOAP12,
    SOAP_OVER_HTTP,
    UTILITY,
    WSDL,
    WSDL_SOAP12,
)
from nbauth.oauth.federation.xml_document import parse
from tests.harness.certificates import Certificates
from tests.oauth.servers import Seen, Server, reply

PASSWORD = "pä<ss> &wörd'\" "
PATHS = {
    (Kind.USERNAME, Version.V13): "/adfs/services/trust/13/usernamemixed",
    (Kind.USERNAME, Version.V2005): "/adfs/services/trust/2005/usernamemixed",
    (Kind.WINDOWS, Version.V13): "/adfs/services/trust/13/windowstransport",
    (Kind.WINDOWS, Version.V2005): "/adfs/services/trust/2005/windowstransport",
}
ODD = 'ä – "&quot;\t\r\n <![CDATA[<x>]]> &#x41; <!-- c -->'
"""Content that a parser would not write again as it was."""


def metadata(
    base: str,
    kinds: tuple[Kind, ...] = tuple(Kind),
    versions: tuple[Version, ...] = tuple(Version),
    policies: str = SECURITY_POLICIES[0],
) -> str:
    """A WS-MetadataExchange document; ``policies`` is the namespace of its bindings."""
    offered = [pair for pair in PATHS if pair[0] in kinds and pair[1] in versions]
    offered.sort(key=lambda pair: pair[1] is Version.V13)  # the preferred version comes last
    names = {pair: f"{pair[0].name}-{pair[1].name}" for pair in offered}
    return f"""<?xml version="1.0" encoding="utf-8"?>
<wsdl:definitions xmlns:wsdl="{WSDL[1:-1]}" xmlns:wsp="{POLICY}" xmlns:wsu="{UTILITY}"
  xmlns:soap12="{WSDL_SOAP12[1:-1]}" xmlns:wsa10="{ADDRESSING}" xmlns:tns="urn:tns"
  xmlns:sp="{policies[1:-1]}">
<wsp:Policy wsu:Id="certificate"><wsp:ExactlyOne><wsp:All><sp:TransportBinding/>
  <sp:EndorsingSupportingTokens><wsp:Policy><sp:X509Token/></wsp:Policy></sp:EndorsingSupportingTokens>
</wsp:All></wsp:ExactlyOne></wsp:Policy>
{"".join(_policy(pair[0], names[pair]) for pair in offered)}
{_binding("certificate", Version.V13)}
{"".join(_binding(names[pair], pair[1]) for pair in offered)}
<wsdl:service name="SecurityTokenService">
{_port("certificate", f"{base}/adfs/services/trust/13/certificatemixed")}
{"".join(_port(names[pair], base + PATHS[pair]) for pair in offered)}
</wsdl:service></wsdl:definitions>"""


def _policy(kind: Kind, name: str) -> str:
    negotiate = NEGOTIATE[1:].split("}")
    demand = (
        f'<h:{negotiate[1]} xmlns:h="{negotiate[0]}"/>'
        if kind is Kind.WINDOWS
        else "<sp:SignedEncryptedSupportingTokens><wsp:Policy><sp:UsernameToken><wsp:Policy>"
        "<sp:WssUsernameToken10/></wsp:Policy></sp:UsernameToken></wsp:Policy>"
        "</sp:SignedEncryptedSupportingTokens>"
    )
    return f"""<wsp:Policy wsu:Id="{name}_policy"><wsp:ExactlyOne><wsp:All>{demand}
<sp:TransportBinding><wsp:Policy><sp:TransportToken><wsp:Policy><sp:HttpsToken/></wsp:Policy>
</sp:TransportToken></wsp:Policy></sp:TransportBinding></wsp:All></wsp:ExactlyOne></wsp:Policy>"""


def _binding(name: str, version: Version) -> str:
    policy = name if name == "certificate" else f"{name}_policy"
    return f"""<wsdl:binding name="{name}" type="tns:contract">
<wsp:PolicyReference URI="#{policy}"/><soap12:binding transport="{SOAP_OVER_HTTP}"/>
<wsdl:operation name="Issue"><soap12:operation soapAction="{version.action}" style="document"/>
</wsdl:operation></wsdl:binding>"""


def _port(name: str, address: str) -> str:
    return f"""<wsdl:port name="{name}" binding="tns:{name}"><soap12:address location="{address}"/>
<wsa10:EndpointReference><wsa10:Address>{address}</wsa10:Address></wsa10:EndpointReference>
</wsdl:port>"""


def assertion(user: str, saml: str = "1.1") -> bytes:
    """A SAML assertion about a user, with content that a parser would change."""
    namespace = f"urn:oasis:names:tc:SAML:{'1.0' if saml == '1.1' else '2.0'}:assertion"
    return (
        f'<saml:Assertion  Id="_1"\txmlns:saml="{namespace}" a=\'b>c\'>'
        f"<saml:Subject >{escape(user)}</saml:Subject><saml:X>{ODD}</saml:X><saml:Y/>"
        "</saml:Assertion >"
    ).encode()


def token_response(signed: bytes, version: Version) -> bytes:
    """The response (RSTR) with an assertion."""
    one = (
        b"<t:RequestSecurityTokenResponse><t:TokenType>urn:any</t:TokenType>"
        b"<t:RequestedSecurityToken>" + signed + b"</t:RequestedSecurityToken>"
        b"</t:RequestSecurityTokenResponse>"
    )
    if version is Version.V13:
        wrap = b"t:RequestSecurityTokenResponseCollection"
        one = b"<" + wrap + b">" + one + b"</" + wrap + b">"
    return _envelope(one, f' xmlns:t="{version.value}"')


def fault(code: str, reason: str) -> bytes:
    """A SOAP 1.2 fault as AD FS sends it."""
    return _envelope(
        f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value"
        f' xmlns:a="{SECURITY}">a:{code}</s:Value></s:Subcode></s:Code><s:Reason>'
        f'<s:Text xml:lang="en">{escape(reason)}</s:Text></s:Reason></s:Fault>'.encode()
    )


def _envelope(body: bytes, more: str = "") -> bytes:
    start = f'<s:Envelope xmlns:s="{SOAP12[1:-1]}"{more}><s:Header/><s:Body>'
    return start.encode() + body + b"</s:Body></s:Envelope>"


@dataclass
class FederationServer:
    """The server; its fields may be changed at any time.

    Attributes:
        issued: called with each assertion.
        kinds, versions, policies: what its metadata offer.
        saml: version of its assertions.
        answers: responses by path, which replace the normal ones.
    """

    certificates: Certificates
    issued: Callable[[bytes], None] = lambda _: None
    kinds: tuple[Kind, ...] = tuple(Kind)
    versions: tuple[Version, ...] = tuple(Version)
    policies: str = SECURITY_POLICIES[0]
    saml: str = "1.1"
    answers: dict[str, bytes] = field(default_factory=dict)

    def __enter__(self) -> FederationServer:
        self._server = Server(self.certificates, answer=self._answer).__enter__()
        self.base = f"https://localhost:{self._server.port}"
        self.metadata_url = f"{self.base}/adfs/services/trust/mex"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    @property
    def realm(self) -> dict[str, str]:
        """The response of user realm discovery for its users."""
        return {
            "ver": "1.0",
            "account_type": "Federated",
            "domain_name": "example.org",
            "federation_protocol": "WSTrust",
            "federation_metadata_url": self.metadata_url,
            "federation_active_auth_url": self.base + PATHS[Kind.USERNAME, Version.V2005],
            "cloud_audience_urn": "urn:federation:MicrosoftOnline",
        }

    @property
    def seen(self) -> list[Seen]:
        return self._server.seen

    def paths(self) -> list[str]:
        return [seen.target for seen in self._server.seen]

    def _answer(self, seen: Seen) -> bytes:
        if (given := self.answers.get(seen.target)) is not None:
            return given
        if seen.target == "/adfs/services/trust/mex":
            text = metadata(self.base, self.kinds, self.versions, self.policies)
            return reply(200, text, content_type="application/soap+xml; charset=utf-8")
        for (kind, version), path in PATHS.items():
            if path == seen.target and seen.headers["soapaction"] == version.action:
                return (
                    self._by_kerberos(seen, version)
                    if kind is Kind.WINDOWS
                    else self._by_password(seen, version)
                )
        return reply(404, "")

    def _by_password(self, seen: Seen, version: Version) -> bytes:
        elements = {one.local: one.text for one in parse(seen.body).root.all()}
        if elements["Password"] != PASSWORD:
            why = "ID3242: The security token could not be authenticated or authorized."
            return reply(500, fault("FailedAuthentication", why))
        return self._issue(elements["Username"], version)

    def _by_kerberos(self, seen: Seen, version: Version) -> bytes:
        import spnego

        scheme, _, token = seen.headers.get("authorization", "").partition(" ")
        if scheme != "Negotiate":
            return reply(401, "", www_authenticate="Negotiate")
        context = spnego.server(hostname="localhost", service="HTTP", protocol="negotiate")
        proof = context.step(base64.b64decode(token)) or b""
        assert context.complete
        return self._issue(
            str(context.client_principal),
            version,
            www_authenticate=f"Negotiate {base64.b64encode(proof).decode()}",
        )

    def _issue(self, user: str, version: Version, **headers: str) -> bytes:
        signed = assertion(user, self.saml)
        self.issued(signed)
        return reply(200, token_response(signed, version), **headers)
