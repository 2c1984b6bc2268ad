"""The XML namespaces and identifiers of SOAP, WS-Trust, WS-MetadataExchange and SAML."""

from __future__ import annotations

SOAP12 = "{http://www.w3.org/2003/05/soap-envelope}"
SOAP11 = "{http://schemas.xmlsoap.org/soap/envelope/}"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
UTILITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
POLICY = "http://schemas.xmlsoap.org/ws/2004/09/policy"
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
WSDL_SOAP12 = "{http://schemas.xmlsoap.org/wsdl/soap12/}"
SOAP_OVER_HTTP = "http://schemas.xmlsoap.org/soap/http"
NEGOTIATE = "{http://schemas.microsoft.com/ws/06/2004/policy/http}NegotiateAuthentication"
SECURITY_POLICIES = (
    "{http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702}",
    "{http://schemas.xmlsoap.org/ws/2005/07/securitypolicy}",
)
TRUST_13 = "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
TRUST_2005 = "http://schemas.xmlsoap.org/ws/2005/02/trust"
SAML_11 = "{urn:oasis:names:tc:SAML:1.0:assertion}Assertion"
SAML_20 = "{urn:oasis:names:tc:SAML:2.0:assertion}Assertion"
