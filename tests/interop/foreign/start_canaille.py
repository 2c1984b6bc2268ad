"""Serve Canaille in memory with one user and its clients; runs in Canaille's environment.

Its argument is a JSON object: port, url (the public one), keys (JWKs, the first signs), clients.
"""

from __future__ import annotations

import json
import sys
import uuid

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import ECKey, OKPKey, RSAKey
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import make_server

KEYS = {
    "RS256": lambda: RSAKey.generate_key(2048, auto_kid=True),
    "ES256": lambda: ECKey.generate_key("P-256", auto_kid=True),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519", auto_kid=True),
}


def main() -> None:
    told = json.loads(sys.argv[1])
    keys = [KEYS[name]().as_dict(private=True) for name in told["keys"]]
    app = create_app(
        {
            "SECRET_KEY": uuid.uuid4().hex,
            "SERVER_NAME": told["host"],
            "PREFERRED_URL_SCHEME": "https",
            "CANAILLE_DATABASE": "memory",
            "CANAILLE": {
                "ENABLE_INTRUDER_LOCKOUT": False,
                "LOGGING": {"version": 1, "disable_existing_loggers": False},
            },
            "CANAILLE_OIDC": {"ACTIVE_JWKS": keys, "TRUSTED_DOMAINS": []},
        }
    )
    with app.app_context(), Backend.instance.session():
        Backend.instance.save(models.User(**told["person"]))
        for given in told["clients"]:
            client = models.Client(
                client_name=given["client_id"],
                token_endpoint_auth_method="none",
                grant_types=["authorization_code", "refresh_token"],
                response_types=["code"],
                **given,
            )
            Backend.instance.save(client)
            client.audience = [client]
            Backend.instance.save(client)
    server = make_server("127.0.0.1", told["port"], ProxyFix(app.wsgi_app), threaded=True)
    server.serve_forever()


main()
