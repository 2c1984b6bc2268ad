"""Network, TLS and proxy faults: each error names the fault, the host and a remedy."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme

from nbauth.core.errors import AuthorityUnreachable, NbAuthError
from nbauth.core.settings import resolve
from nbauth.oauth.http import Http
from nbauth.oauth.trust import VARIABLES
from tests.harness.certificates import Certificates
from tests.oauth.proxies import Proxy
from tests.oauth.servers import Server, reply

PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXY_VARIABLES, *(name.lower() for name in PROXY_VARIABLES), *VARIABLES):
        monkeypatch.delenv(name, raising=False)


def fault(call: Callable[[], object]) -> AuthorityUnreachable:
    with pytest.raises(AuthorityUnreachable) as caught:
        call()
    error = caught.value
    happened, todo = error.lines()
    assert len(happened) < 400 and len(todo) > 10, error.lines()
    assert "Traceback" not in happened and "object at" not in happened and "Errno" not in happened
    return error


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


# ── the way to the host ─────────────────────────────────────────────────────────────────────


def test_an_unknown_host_name() -> None:
    error = fault(lambda: Http().get("https://nowhere.invalid/"))
    assert error.code == "dns"
    assert "nowhere.invalid" in str(error) and "name" in str(error)
    assert "spelling" in error.hint


def test_a_closed_port() -> None:
    port = free_port()
    error = fault(lambda: Http().get(f"https://127.0.0.1:{port}/"))
    assert (error.code, f"127.0.0.1:{port}" in str(error)) == ("refused", True)


def test_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's error is simulated, since even an address of RFC 5737 has a route wherever
    there is a default gateway."""
    import errno

    def unroutable(*_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unroutable)
    error = fault(lambda: Http().get("https://127.0.0.1/"))
    assert error.code == "no_route"


@pytest.mark.timing
def test_a_firewall_that_drops_packets() -> None:
    """A full backlog accepts no connection."""
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        error = fault(lambda: Http().get(url, timeout=(0.3, 5)))
    assert error.code == "connect_timeout"
    assert "firewall" in error.hint


@contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that handles its first connection like this."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError), listening.accept()[0] as sock:
                talk(sock)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.close()
        thread.join(5)


def reset(sock: socket.socket) -> None:
    import struct

    sock.recv(4096)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(sock: socket.socket) -> None:
    sock.recv(4096)


def in_the_middle(sock: socket.socket) -> None:
    sock.recv(4096)
    sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a":')


def in_a_chunk(sock: socket.socket) -> None:
    sock.recv(4096)
    sock.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"a":')


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("how", [reset, hang_up])
def test_a_lost_connection(how: Callable[[socket.socket], None], scheme: str) -> None:
    with talking(how) as port:
        assert fault(lambda: Http().get(f"{scheme}://127.0.0.1:{port}/")).code == "connection_lost"


@pytest.mark.parametrize("how", [in_the_middle, in_a_chunk])
def test_a_connection_lost_in_the_body(how: Callable[[socket.socket], None]) -> None:
    with talking(how) as port:
        assert fault(lambda: Http().get(f"http://127.0.0.1:{port}/")).code == "connection_lost"


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────


def made(tmp_path: Path, name: str = "127.0.0.1", **dates: datetime.datetime) -> Certificates:
    authority = trustme.CA()
    files = Certificates(tmp_path / "ca.pem", tmp_path / "server.pem", tmp_path / "server.key")
    server = authority.issue_cert(name, **dates)
    authority.cert_pem.write_to_path(str(files.ca_file))
    server.cert_chain_pems[0].write_to_path(str(files.cert_file))
    server.private_key_pem.write_to_path(str(files.key_file))
    return files


def day(offset: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=offset)


@pytest.mark.parametrize(
    ("what", "code", "words", "remedy"),
    [
        ("unknown", "certificate", "not trusted", "own CA"),
        ("expired", "certificate_expired", "expired", "clock"),
        ("not yet", "certificate_not_yet", "not valid yet", "clock"),
        ("host", "certificate_host", "another host name", "address"),
    ],
)
def test_an_invalid_certificate(
    what: str, code: str, words: str, remedy: str, tmp_path: Path
) -> None:
    dates = {
        "expired": {"not_before": day(-9), "not_after": day(-1)},
        "not yet": {"not_before": day(1), "not_after": day(9)},
    }
    name = "id.example" if what == "host" else "127.0.0.1"
    files = made(tmp_path, name, **dates.get(what, {}))
    with Server(files) as server:
        http = Http(True if what == "unknown" else str(files.ca_file))
        error = fault(lambda: http.get(server.url))
        assert server.seen == []
    assert error.code == code
    assert words in str(error) and remedy in error.hint and str(server.port) in str(error)


def test_the_error_names_the_source_of_the_certificates(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = made(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(other.ca_file))
    with Server(certificates) as server:
        assert "SSL_CERT_FILE" in fault(lambda: Http().get(server.url)).hint
        assert "the setting verify" in fault(lambda: Http(str(other.ca_file)).get(server.url)).hint


def test_a_port_without_tls() -> None:
    with talking(in_the_middle) as port:
        error = fault(lambda: Http().get(f"https://127.0.0.1:{port}/"))
    assert (error.code, "TLS" in str(error), "http" in error.hint) == ("not_tls", True, True)


def test_an_old_tls(certificates: Certificates) -> None:
    with Server(certificates) as server:
        assert server._context
        server._context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old it is
            server._context.minimum_version = ssl.TLSVersion.TLSv1
            server._context.maximum_version = ssl.TLSVersion.TLSv1_1
        error = fault(lambda: Http(str(certificates.ca_file)).get(server.url))
    assert (error.code, "1.2" in error.hint) == ("tls_version", True)


def test_a_server_that_requires_a_client_certificate(certificates: Certificates) -> None:
    with Server(certificates) as server:
        assert server._context
        server._context.load_verify_locations(certificates.ca_file)
        server._context.verify_mode = ssl.CERT_REQUIRED
        error = fault(lambda: Http(str(certificates.ca_file)).get(server.url))
    assert error.code in {"tls_client_certificate", "connection_lost"}


# ── the file of certificates ────────────────────────────────────────────────────────────────


def bundle(what: str, folder: Path, good: Path) -> Path:
    """An invalid CA file."""
    path = folder / "ca of the company.pem"
    if what == "der":
        path.write_bytes(ssl.PEM_cert_to_DER_cert(good.read_text()))
    elif what == "empty":
        path.write_text("")
    elif what == "damaged":
        path.write_text(good.read_text().replace("A", "!", 3))
    elif what == "words":
        path.write_text("see the wiki")
    elif what == "folder":
        path.mkdir()
        (path / "ca.pem").write_bytes(good.read_bytes())
    elif what == "loop":  # not even root can read it
        path.symlink_to(path)
    return path


BUNDLES = [
    ("gone", "ca_missing", "does not exist"),
    ("der", "ca_der", "DER"),
    ("empty", "ca_empty", "empty"),
    ("damaged", "ca_damaged", "damaged"),
    ("words", "ca_no_certificate", "no certificate"),
    ("folder", "ca_folder", "folder"),
    ("loop", "ca_unreadable", "cannot be read"),
]


@pytest.mark.parametrize("source", ["the setting verify", *VARIABLES])
@pytest.mark.parametrize(("what", "code", "words"), BUNDLES, ids=[one[0] for one in BUNDLES])
def test_an_invalid_ca_file(
    what: str, code: str, words: str, source: str, tmp_path: Path,
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = bundle(what, tmp_path, certificates.ca_file)
    if source != "the setting verify":
        monkeypatch.setenv(source, str(path))
    with Server(certificates) as server:
        http = Http(str(path) if source == "the setting verify" else None)
        error = fault(lambda: http.get(server.url))
        assert server.seen == []
    assert error.code == code
    assert words in str(error) and str(path) in str(error) and source in str(error)


def test_a_corrected_ca_file_is_used(certificates: Certificates, tmp_path: Path) -> None:
    path = bundle("empty", tmp_path, certificates.ca_file)
    with Server(certificates) as server, Http(str(path)) as http:
        fault(lambda: http.get(server.url))
        path.write_bytes(certificates.ca_file.read_bytes())
        assert http.get(server.url).ok


def test_a_folder_of_hashed_certificates_is_used(
    certificates: Certificates, tmp_path: Path
) -> None:
    folder = bundle("folder", tmp_path, certificates.ca_file)
    subprocess.run(["openssl", "rehash", str(folder)], check=True, capture_output=True)
    with Server(certificates) as server:
        assert Http(str(folder)).get(server.url).ok


def test_the_setting_overrides_each_variable(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, str(tmp_path / "gone.pem"))
    with Server(certificates) as server:
        assert Http(str(certificates.ca_file)).get(server.url).ok


def test_loopback_without_tls_needs_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/gone.pem")
    with Server() as server:
        assert Http().get(server.url).ok


def test_the_certificates_of_the_system(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL's variable adds a certificate to the system's store, which truststore uses."""
    program = """
        import sys
        from nbauth.core.settings import resolve
        from nbauth.oauth.http import Http
        from nbauth.oauth.network import VerifiedSession
        verify = resolve({}, {}, {"NBAUTH_VERIFY": "system"}).verify
        for session in (Http(verify), VerifiedSession(verify)):
            print(session.get(sys.argv[1]).status_code)
    """
    with Server(certificates) as server:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), server.url],
            env={"SSL_CERT_FILE": str(certificates.ca_file), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.stdout.split() == ["200", "200"], done.stderr
        monkeypatch.setenv("SSL_CERT_FILE", "")
        assert fault(lambda: Http("system").get(server.url)).code == "certificate"


def test_the_certificates_of_the_system_without_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "truststore", None)
    with pytest.raises(NbAuthError, match=r"nbauth\[truststore\]"):
        resolve({"verify": "system"}, {}, {})


# ── proxies ─────────────────────────────────────────────────────────────────────────────────


def test_a_proxy_of_the_environment_is_used(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(certificates) as server, Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert Http(str(certificates.ca_file)).get(server.url).ok
        assert [head.split()[1] for head in proxy.asked] == [f"127.0.0.1:{server.port}"]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert Http(str(certificates.ca_file)).get(server.url).ok
        assert len(proxy.asked) == 1


@pytest.mark.parametrize("key", ["https", "all", "https://127.0.0.1"])
def test_the_proxy_setting_overrides_the_environment(
    key: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(certificates) as server, Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("NO_PROXY", "*")
        assert Http(str(certificates.ca_file), {key: proxy.url}).get(server.url).ok
        assert len(proxy.asked) == 1


def test_an_empty_setting_means_no_proxy(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(certificates) as server, Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert Http(str(certificates.ca_file), {}).get(server.url).ok
        assert proxy.asked == []


def test_http_to_loopback_uses_no_proxy() -> None:
    with Server() as server, Proxy() as proxy:
        assert Http(proxies={"http": proxy.url, "all": proxy.url}).get(server.url).ok
        assert proxy.asked == []


@pytest.mark.parametrize("source", ["the setting proxies", "HTTPS_PROXY"])
@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(407, "proxy_authentication", "407"), (403, "proxy_refused_host", "403"),
     (502, "proxy_refused_host", "502")],
)  # fmt: skip
def test_a_proxy_that_refuses(
    status: int, code: str, words: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(status=status) as proxy:
        address = proxy.url.replace("//", "//ada:s3cret@")
        if source == "HTTPS_PROXY":
            monkeypatch.setenv(source, address)
        http = Http(proxies={"https": address} if source != "HTTPS_PROXY" else None)
        error = fault(lambda: http.get("https://id.example/"))
        assert "Proxy-Authorization: Basic" in proxy.asked[0]
    assert error.code == code
    assert words in str(error) and proxy.place in str(error) and source in str(error)
    assert "s3cret" not in " ".join(error.lines())


def broken_proxy(what: str) -> str:
    return {
        "refused": f"http://127.0.0.1:{free_port()}",
        "dns": "http://nowhere.invalid:3128",
        "bad": "http://a..b:80",
        "scheme": "foo://127.0.0.1:80",
        "socks refused": f"socks5h://127.0.0.1:{free_port()}",
        "socks dns": "socks5h://nowhere.invalid:1080",
    }[what]


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("refused", "proxy_refused"),
        ("dns", "proxy_dns"),
        ("bad", "bad_proxy"),
        ("scheme", "bad_proxy"),
        ("socks refused", "proxy_refused"),
        ("socks dns", "proxy_dns"),
    ],
)
def test_an_unreachable_proxy(what: str, code: str) -> None:
    address = broken_proxy(what)
    error = fault(lambda: Http(proxies={"https": address}).get("https://id.example/"))
    assert error.code == code
    assert address.rpartition("//")[2] in str(error) and "the setting proxies" in str(error)
    assert "the setting proxies" in str(error.hint), "the hint is about the proxy"


@pytest.mark.parametrize(
    ("scheme", "how", "code"),
    [("http", hang_up, "proxy_connection_lost"), ("https", hang_up, "proxy_connection_lost")],
)
def test_a_proxy_that_closes_the_connection(
    scheme: str, how: Callable[[socket.socket], None], code: str
) -> None:
    with talking(how) as port:
        http = Http(proxies={"https": f"{scheme}://127.0.0.1:{port}"})
        error = fault(lambda: http.get("https://id.example/"))
    assert "proxy" in str(error)
    assert error.code in {code, code.removeprefix("proxy_")}


def test_a_proxy_with_an_untrusted_certificate(certificates: Certificates) -> None:
    with Server(certificates) as proxy:
        error = fault(lambda: Http(True, {"https": proxy.url}).get("https://id.example/"))
    assert error.code == "proxy_certificate"
    assert f"The proxy 127.0.0.1:{proxy.port}" in str(error)


def test_a_fault_of_the_provider_is_not_reported_as_the_proxys(certificates: Certificates) -> None:
    """The proxy works; the provider's certificate is invalid."""
    with Server(certificates) as server, Proxy() as proxy:
        error = fault(lambda: Http(True, {"https": proxy.url}).get(server.url))
    assert error.code == "certificate"
    assert str(error).startswith(f"127.0.0.1:{server.port} has a certificate")
    assert proxy.place in str(error)


def test_a_socks_proxy_is_used(certificates: Certificates) -> None:
    with Server(certificates) as server, Proxy(socks=True, password=b"s3cret") as proxy:
        address = proxy.url.replace("//", "//ada:s3cret@")
        assert Http(str(certificates.ca_file), {"https": address}).get(server.url).ok
        assert proxy.asked


@pytest.mark.parametrize(
    ("password", "status", "code"),
    [(b"other", 200, "proxy_authentication"), (b"", 403, "proxy_refused_host")],
)
def test_a_socks_proxy_that_refuses(password: bytes, status: int, code: str) -> None:
    with Proxy(socks=True, password=password, status=status) as proxy:
        address = proxy.url.replace("//", "//ada:s3cret@")
        error = fault(lambda: Http(proxies={"https": address}).get("https://id.example/"))
    assert error.code == code
    assert proxy.place in str(error) and "s3cret" not in " ".join(error.lines())


def test_a_socks_proxy_without_its_package() -> None:
    program = """
        import sys
        sys.modules["socks"] = None
        from nbauth.core.errors import NbAuthError
        from nbauth.oauth.http import Http
        try:
            Http(proxies={"https": "socks5h://127.0.0.1:1080"}).get("https://id.example/")
        except NbAuthError as error:
            print(error.code, *error.lines())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("socks_missing ")
    assert "PySocks" in done.stdout and "pip install" in done.stdout


@pytest.mark.parametrize("token", ["\U0001f600", "a\r\nX: y", "a\nb"])
def test_a_token_with_characters_not_allowed_in_a_header(token: str) -> None:
    with Server() as server:
        headers = {"Authorization": f"Bearer {token}"}
        error = fault(lambda: Http().get(server.url, headers=headers))
        assert server.seen == []
    assert error.code == "unsendable" and token not in str(error)


# ── responses of another server──────────────────────────────────────────────────────────────

PORTAL = "<html><head><title>Sign in to\n Caf\u00e9 WLAN \u202e</title></head><body>…</body></html>"


@pytest.mark.parametrize("status", [200, 400, 401, 403, 511])
def test_a_captive_portal(status: int) -> None:
    with Server(answer=reply(status, PORTAL)) as server:
        error = fault(lambda: Http().post(server.url, data={"grant_type": "refresh_token"}))
    assert not error.empty
    assert str(status) in str(error)
    if status != 511:
        assert "Sign in to" in str(error) and "portal" in error.hint and "\u202e" not in str(error)


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("body", ["", " \r\n"])
def test_a_response_with_only_a_status(status: int, body: str) -> None:
    with Server(answer=reply(status, body)) as server:
        error = fault(lambda: Http().post(server.url, data={}))
    assert (error.empty, error.code) == (True, f"http_{status}")
