"""Invented secrets of every kind, made at run time so that no file of the repository has one."""

from __future__ import annotations

import base64
import json
import random
import string
from typing import Any
from urllib.parse import quote

LETTERS = string.ascii_letters
ALNUM = string.ascii_letters + string.digits
BASE64 = ALNUM + "+/"
URL = ALNUM + "-_"
_random = random.Random(11)


def some(count: int, characters: str = ALNUM) -> str:
    """Random characters, with a digit and a letter if there are any."""
    while True:
        text = "".join(_random.choices(characters, k=count))
        if count < 12 or len(set(text)) >= 8:
            return text


def part(value: object) -> str:
    """A part of a JSON Web Token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def json_web_token(size: int = 96, **header: object) -> str:
    claims = {"sub": some(12), "aud": "api", "exp": 1_900_000_000}
    head = {"typ": "JWT", "alg": "RS256", "kid": some(8), **header}
    return f"{part(head)}.{part(claims)}.{part(_random.randbytes(size))}"


def encrypted_token() -> str:
    parts = [part({"alg": "RSA-OAEP", "enc": "A256GCM"})]
    parts += [part(_random.randbytes(count)) for count in (128, 12, 64, 16)]
    return ".".join(parts)


def unsigned_token() -> str:
    return f"{part({'alg': 'none'})}.{part({'sub': some(9)})}."


def private_key(label: str = "PRIVATE KEY") -> tuple[str, str]:
    """The key in PEM, and the part that is secret."""
    body = "\n".join(some(64, BASE64) for _ in range(6)) + "\n" + some(20, BASE64) + "=="
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----", body


def basic() -> str:
    return base64.b64encode(f"ada:{some(14)}".encode()).decode()


def _key(count: int, signature: str, rest: int, end: str) -> str:
    return some(count, BASE64) + signature + some(rest, BASE64) + end


def _whole(secret: str) -> tuple[str, str]:
    return secret, secret


def _in(text: str, secret: str) -> tuple[str, str]:
    return text.replace("@", secret), secret


SECRETS: dict[str, tuple[str, str, str]] = {}
"""By name: the kind that is reported, a text, and the part of it that is secret."""


def _fill() -> None:
    def add(name: str, kind: str, text_and_secret: tuple[str, str]) -> None:
        SECRETS[name] = (kind, *text_and_secret)

    add("signed", "JSON Web Token", _whole(json_web_token()))
    add("encrypted", "JSON Web Token", _whole(encrypted_token()))
    add("unsigned", "JSON Web Token", _whole(unsigned_token()))
    token = json_web_token()
    add("bearer-jwt", "JSON Web Token", _in("Authorization: Bearer @", token))
    for offset, before in enumerate(("", "x", "xy")):
        text = base64.b64encode(f"{before}{json_web_token()}".encode()).decode()
        add(f"base64-{offset}", "JSON Web Token in base64", _whole(text))
    for label in ("PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY"):
        add(label, "private key", private_key(label))
    add("entra-secret", "Entra client secret", _whole(f"{some(3)}8Q~{some(34, ALNUM + '._-')}"))
    add("entra-secret-7", "Entra client secret", _whole(f"{some(3)}7Q~{some(31, ALNUM + '._-')}"))
    refresh = f"AX{some(40, URL)}.AgABAAAAAAD--{some(300, URL)}"
    add("entra-0", "Entra refresh token or code", _whole(f"0.{refresh}"))
    add("entra-1", "Entra refresh token or code", _whole(f"1.{refresh}"))
    add(
        "msa-access", "Microsoft account access token", _whole(f"EwBoA8l6BAAU{some(300, BASE64)}==")
    )
    add(
        "msa-refresh",
        "Microsoft account refresh token or code",
        _whole(f"M.C5{some(2, string.digits)}_BAY.0.U.-{some(150, ALNUM + '!*$')}"),
    )
    add(
        "msa-older",
        "Microsoft account refresh token or code",
        _whole(f"M.R3_BAY.-C{some(150, ALNUM + '!*$')}"),
    )
    add("devops", "Azure DevOps personal access token", _whole(f"{some(76)}AZDO{some(4)}"))
    add("storage-key", "Azure Storage account key", _whole(_key(76, "+ASt", 5, "A==")))
    add(
        "account-key",
        "Azure account key",
        _in(
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=@;X=1", some(86, BASE64) + "=="
        ),
    )
    add(
        "bus-key",
        "Azure shared access key",
        _in("SharedAccessKeyName=Root;SharedAccessKey=@", some(43, BASE64) + "="),
    )
    add(
        "sas",
        "Azure shared access signature",
        _in(
            "https://a.blob.core.windows.net/c?sv=2024-01-01&sp=r&sig=@",
            quote(some(43, BASE64) + "=", safe=""),
        ),
    )
    for prefix in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"):
        add(prefix, "GitHub token", _whole(prefix + some(36)))
    add("github_pat_", "GitHub fine-grained token", _whole(f"github_pat_{some(22)}_{some(59)}"))
    for name in ("pat", "oas", "dt", "rt", "cbt", "ptt", "ft", "soat"):
        add(f"gl{name}-", "GitLab token", _whole(f"gl{name}-{some(20)}"))
    add("dapi", "Databricks token", _whole(f"dapi{some(32, '0123456789abcdef')}"))
    add("dapi-2", "Databricks token", _whole(f"dapi{some(32, '0123456789abcdef')}-2"))
    for prefix in "bparsocde":
        digits = some(11, string.digits)
        add(f"xox{prefix}", "Slack token", _whole(f"xox{prefix}-{digits}-{some(24)}"))
    add("xoxe.", "Slack token", _whole(f"xoxe.xoxp-1-{some(60)}"))
    add("xapp", "Slack token", _whole(f"xapp-1-A{some(10)}-{some(60)}"))
    add("ya29.", "Google access token", _whole(f"ya29.{some(120, URL)}"))
    add("1//0", "Google refresh token", _whole(f"1//0{some(90, URL)}"))
    add("GOCSPX-", "Google client secret", _whole(f"GOCSPX-{some(28, URL)}"))
    add("AIza", "Google API key", _whole(f"AIza{some(35)}"))
    upper = string.ascii_uppercase + "234567"
    add("AKIA", "AWS access key id", _whole(f"AKIA{some(16, upper)}"))
    add("ASIA", "AWS access key id", _whole(f"ASIA{some(16, upper)}"))
    add("aws-secret", "AWS secret access key", _in("aws_secret_access_key = @", some(40, BASE64)))
    add("npm_", "npm token", _whole(f"npm_{some(36)}"))
    add("pypi-", "PyPI token", _whole(f"pypi-AgEIcHlwaS5vcmc{some(150, URL)}"))
    add("hf_", "Hugging Face token", _whole(f"hf_{some(34, LETTERS)}"))
    add("sk-ant-", "Anthropic API key", _whole(f"sk-ant-api03-{some(93, URL)}AA"))
    add("sk-proj-", "OpenAI API key", _whole(f"sk-proj-{some(120)}T3BlbkFJ{some(70)}"))
    add("sk-", "OpenAI API key", _whole(f"sk-{some(20)}T3BlbkFJ{some(20)}"))
    add(
        "jupyter",
        "Jupyter server token",
        _in("http://localhost:8888/lab?token=@", some(48, "0123456789abcdef")),
    )
    add("bearer", "Authorization header", _in("authorization: bearer @", f"7b{some(40, URL)}9"))
    add("basic", "Authorization header", _in("Authorization: Basic @", basic()))
    add(
        "token-header",
        "Authorization header",
        _in("Authorization: token @", some(32, "0123456789abcdef")),
    )
    add("access", "access token", _in('{"access_token": "@"}', f"a1{some(40)}9"))
    add("access-in-text", "access token", _in(r'"{\"access_token\":\"@\"}"', f"a1{some(40)}9"))
    add("access-url", "access token", _in("https://a/#access_token=@&state=s", f"a1{some(30)}9"))
    add("access-camel", "access token", _in('accessToken="@"', f"a1{some(30)}9"))
    add("access-dash", "access token", _in("x-access-token: @", f"a1{some(30)}9"))
    add("refresh-dash", "refresh token", _in("refresh-token=@", f"a1{some(30)}9"))
    add("secret-camel", "client secret", _in("clientSecret: '@'", f"s1{some(24)}9"))
    add("secret-dash", "client secret", _in("--client-secret=@", f"s1{some(24)}9"))
    add("aws-camel", "AWS secret access key", _in('"SecretAccessKey": "@"', some(40, BASE64)))
    add("refresh", "refresh token", _in("{'refresh_token': '@'}", f"r1{some(40)}9"))
    add("refresh-camel", "refresh token", _in('refreshToken: "@"', f"r1{some(40)}9"))
    add("secret-form", "client secret", _in("grant_type=a&client_secret=@&b=c", f"s1{some(24)}9"))
    add("secret-env", "client secret", _in("export AZURE_CLIENT_SECRET=@", f"s1{some(24)}9"))
    add(
        "secret-python", "client secret", _in('os.environ["CLIENT_SECRET"] = "@"', f"s1{some(24)}9")
    )


_fill()


def notebook(*cells: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def code(source: str | list[str] = "", *outputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "cell_type": "code", "execution_count": None, "id": "a1", "metadata": {},
        "outputs": list(outputs), "source": source,
    }  # fmt: skip


def stream(text: str | list[str], name: str = "stdout") -> dict[str, Any]:
    return {"name": name, "output_type": "stream", "text": text}


def display(**data: Any) -> dict[str, Any]:
    named = {mime.replace("__", "/"): value for mime, value in data.items()}
    return {"output_type": "display_data", "metadata": {}, "data": named}


def error(*traceback: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": "E", "evalue": "", "traceback": list(traceback)}
