"""Requests a SAML assertion by WS-Trust 1.3 or 2005: the messages, without their transport."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.core.secret import SecretStr
from nbauth.core.text import plain
from nbauth.oauth.error_catalogue import error_from
from nbauth.oauth.federation.metadata_exchange import Endpoint, Version
from nbauth.oauth.federation.namespaces import (
    ADDRESSING,
    POLICY,
    SAML_11,
    SAML_20,
    SECURITY,
    SOAP11,
    SOAP12,
    UTILITY,
)
from nbauth.oauth.federation.xml_document import Document, Element

VALID_FOR = timedelta(minutes=10)
GRANTS = {
    SAML_11: "urn:ietf:params:oauth:grant-type:saml1_1-bearer",
    SAML_20: "urn:ietf:params:oauth:grant-type:saml2-bearer",  # RFC 7522
}
"""The grant type for each kind of assertion."""
_KEY_TYPES = {
    Version.V13: f"{Version.V13.value}/Bearer",
    Version.V2005: "http://schemas.xmlsoap.org/ws/2005/05/identity/NoProofKey",
}
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Assertion:
    """A SAML assertion exactly as it was signed, and the grant type for it."""

    grant_type: str
    body: bytes = field(repr=False)


def request(
    endpoint: Endpoint, audience: str, username: str = "", password: SecretStr | None = None
) -> bytes:
    """The request for a security token (RST), with a user name and password if they are given.

    Raises ``ConfigurationError`` for a name or a password that XML cannot contain.
    """
    version = endpoint.version
    user = _username_token(username, password) if password is not None else ""
    return f"""<s:Envelope xmlns:s="{SOAP12[1:-1]}" xmlns:a="{ADDRESSING}"><s:Header>\
<a:Action s:mustUnderstand="1">{version.action}</a:Action>\
<a:MessageID>urn:uuid:{uuid.uuid4()}</a:MessageID>\
<a:ReplyTo><a:Address>{ADDRESSING}/anonymous</a:Address></a:ReplyTo>\
<a:To s:mustUnderstand="1">{_text(endpoint.address)}</a:To>{user}</s:Header><s:Body>\
<t:RequestSecurityToken xmlns:t="{version.value}">\
<p:AppliesTo xmlns:p="{POLICY}"><a:EndpointReference><a:Address>{_text(audience)}</a:Address>\
</a:EndpointReference></p:AppliesTo>\
<t:KeyType>{_KEY_TYPES[version]}</t:KeyType><t:RequestType>{version.value}/Issue</t:RequestType>\
</t:RequestSecurityToken></s:Body></s:Envelope>""".encode()


def _username_token(username: str, password: SecretStr) -> str:
    now = datetime.now(UTC)
    return f"""<o:Security s:mustUnderstand="1" xmlns:o="{SECURITY}" xmlns:u="{UTILITY}">\
<u:Timestamp u:Id="_0"><u:Created>{_time(now)}</u:Created>\
<u:Expires>{_time(now + VALID_FOR)}</u:Expires></u:Timestamp>\
<o:UsernameToken u:Id="user"><o:Username>{_text(username)}</o:Username>\
<o:Password>{_text(str(password))}</o:Password></o:UsernameToken></o:Security>"""


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(value: str) -> str:
    """Text for XML. White space is written as references, or a parser would change it."""
    if _NO_XML.search(value):
        raise ConfigurationError(
            "The user name or the password contains a character that WS-Trust cannot send.",
            code="bad_character",
            hint="Type it again, or sign in with a browser: %login --flow browser.",
        )
    return escape(value, {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def assertion_in(document: Document, password: SecretStr | None = None) -> Assertion:
    """The assertion in a response (RSTR), or the error of a SOAP fault in it.

    Args:
        document: the response.
        password: of the request, so that no error shows it; ``None`` for a Kerberos ticket.
    """
    for soap in (SOAP12, SOAP11):
        body = (
            document.root.first(f"{soap}Body") if document.root.name == f"{soap}Envelope" else None
        )
        if body is not None and (fault := body.first(f"{soap}Fault")) is not None:
            raise _refused(fault, soap, password)
        if body is not None:
            return _assertion(document, body)
    raise not_understood("it is no SOAP message")


def _assertion(document: Document, body: Element) -> Assertion:
    for version in Version:
        trust = f"{{{version.value}}}"
        response = (f"{trust}RequestSecurityTokenResponse", f"{trust}RequestedSecurityToken", "*")
        for path in (response, (f"{trust}RequestSecurityTokenResponseCollection", *response)):
            for token in body.inside(*path):
                if token.name in GRANTS:
                    return Assertion(GRANTS[token.name], document.bytes_of(token))
    raise not_understood("it has no SAML assertion")


def _refused(fault: Element, soap: str, password: SecretStr | None) -> NbAuthError:
    """The error for a SOAP fault (SOAP 1.2 §5.4, SOAP 1.1 §4.4)."""
    if soap == SOAP12:
        reason = fault.text_at(f"{soap}Reason", f"{soap}Text")
        code = fault.text_at(f"{soap}Code", f"{soap}Subcode", f"{soap}Value")
        code = code or fault.text_at(f"{soap}Code", f"{soap}Value")
    else:
        reason, code = fault.text_at("faultstring"), fault.text_at("faultcode")
    code = plain(code.rpartition(":")[2])[:40]
    if password is not None and str(password):
        reason = reason.replace(str(password), "••••")
    told = ": ".join(part for part in (code, plain(reason)[:_LONGEST_REASON]) if part)
    bad_password = password is not None and code in ("FailedAuthentication", "")
    word = "wstrust_password" if bad_password else "wstrust_refused"
    return error_from({"error": word, "error_description": told})


def not_understood(why: str) -> NbAuthError:
    """The error for a response that is neither an assertion nor a SOAP fault."""
    return error_from({"error": "wstrust_not_understood", "error_description": why})
