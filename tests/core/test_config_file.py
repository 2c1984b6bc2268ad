"""Errors for mistakes in ``config.toml`` name file, line, key and the correct form."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbauth.core.config_file import ConfigFile
from nbauth.core.config_text import LARGEST, read_files
from nbauth.core.errors import ConfigurationError

WORK = "[profiles.work]\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def written(path: Path, content: str | bytes) -> ConfigFile:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_files([path])


def refused(path: Path, content: str | bytes) -> ConfigurationError:
    """The error on using the file's first profile."""
    with pytest.raises(ConfigurationError) as caught:
        file = written(path, content)
        for profile in file.profiles:
            file.refuse(profile)
    assert caught.value.code == "bad_config_file"
    assert "\n" not in str(caught.value) + caught.value.hint
    assert str(path) in str(caught.value)
    return caught.value


NO_TOML = [
    (WORK + "tenant = contoso.com", 2, "value of tenant is not in quotes", 'tenant = "…"'),
    (WORK + "client_id = 11111111-2222-3333-4444-555555555555", 2, "not in quotes", "client_id = "),
    (WORK + "client_id = abcdef01-2222-3333-4444-555555555555", 2, "not in quotes", "client_id = "),
    (WORK + "debug = True", 2, "capital", "debug = true"),
    (WORK + "tenant = None", 2, "no null value", "Remove the line"),
    (WORK + "tenant =\n", 2, "tenant has no value", "remove the line"),
    (WORK + "tenant", 2, "without a value", "key = value"),
    (WORK + 'tenant: "x"', 2, "colon", "key = value"),
    (WORK + "tenant = “x”", 2, "curly", "straight"),
    (WORK + "tenant =\u00a0'x'", 2, "U+00A0", "again"),
    (WORK + "\u200btenant = 'x'", 2, "U+200B", "again"),
    ("profile = 'work'\r[profiles.work]\rtenant = 'x'", 1, "carriage return", "line endings"),
    (WORK + 'verify = "C:\\Users\\ca.pem"', 2, "backslash", "single quotes"),
    (WORK + 'verify = "\\\\server\\share\\ca.pem"', 2, "backslash", "single quotes"),
    (WORK + 'verify = "D:\\certs\\ca.pem"', 2, "backslash", "single quotes"),
    (WORK + 'tenant = "x\nscopes = []', 2, "not closed", "Add the closing quote"),
    (WORK + "tenant = 'x\nscopes = []", 2, "not closed", "Add the closing quote"),
    (WORK + 'tenant = """x\n\n\n', 2, "not closed", "Add the closing quote"),
    (WORK + 'scopes = ["a"\nflow = "device"', 3, "list is not closed", '["one", "two"]'),
    (WORK + "scopes = [User.Read]", 2, "list of scopes", 'scopes = ["one", "two"]'),
    (WORK + 'scopes = ["a",\n"b"\n\n', 2, "list is not closed", '["one", "two"]'),
    (WORK + 'tenant = "x" flow = "device"', 2, "more than one key", "per line"),
    (WORK + 'tenant = "x\x01"', 2, "control character", "Remove"),
    ("[profiles.work\ntenant = 'x'", 1, "header is not closed", "[profiles.work]"),
    ("[profiles.my work]", 1, "needs quotes", '[profiles."my work"]'),
    (WORK + 'hosts = {\n"a.b" = ["c"]\n}', 2, "one line", "[profiles.work.hosts]"),
    (WORK + '[profiles.work.hosts]\na.x.com:8443 = ["s"]', 3, "in quotes", "api.contoso.com:8443"),
    (WORK + '[profiles.work.hosts]\nhttps://x.com = ["s"]', 3, "in quotes", "without https://"),
    (WORK + "tenant = 'a'\nflow = 'device'\ntenant = 'b'", 4, "tenant is set twice, here and on"
     " line 2", "Keep one"),
    (WORK + "tenant = 'a'\n[profiles.b]\n[profiles.work]", 4, "twice, here and on line 1", "Keep"),
    (WORK + "hosts = {}\n[profiles.work.hosts]\nx = ['s']", 3, "hosts is set twice", "Keep"),
    (WORK + f"timeout = {'9' * 5000}", 2, "", ""),
    (WORK + "tenant = 2024-13-45", 2, "", ""),
    ("= 3", 1, "", ""),
]  # fmt: skip
OUTSIDE = [
    (
        'client_id = "x"',
        1,
        "client_id is above the first profile",
        "below [profiles.work]: client_id",
    ),
    ("#\nscopes = ['a']\n[profiles.idp]", 2, "scopes is above", "below [profiles.idp]: scopes"),
    ("tenant_id = 'x'", 1, "tenant_id is above", "tenant = "),
    ("profile = 'a'\n\n[profile.work]\ntenant = 'x'", 3, "", ""),
    ("[profile.work]\ntenant = 'x'", 1, "[profile.work] is not the table", "[profiles.work]"),
    ("[Profiles.work]\ntenant = 'x'", 1, "[Profiles.work] is not the table", "[profiles.work]"),
    ("[proflies.work]\ntenant = 'x'", 1, "[proflies.work] is not the table", "[profiles.work]"),
    ("[work]\ntenant = 'x'", 1, "[work] is not the table of a profile", "[profiles.work]"),
    ("['my work']\ntenant = 'x'", 1, "not the table of a profile", '[profiles."my work"]'),
    ("[hosts]\n'a.b' = ['s']", 1, "[hosts] is not", "[profiles.work.hosts]"),
    ("[[profiles]]\ntenant = 'x'", 1, "profiles is not a table", "[profiles.work]"),
    ("[[profile]]\ntenant = 'x'", 1, "[profile] is not", "[profiles.work]"),
    ("profiles = 'work'", 1, "profiles is not a table", "[profiles.work]"),
    ("[profiles]\ntenant = 'x'", 2, "tenant is directly below [profiles]", "[profiles.work]"),
    ("profile = 3", 1, "profile must be a string", 'profile = "work"'),
    ("profile = ['work']", 1, "profile must be a string", 'profile = "work"'),
    ("profile = ' '", 1, "profile is empty", 'profile = "work"'),
    ("frobnicate = 1", 1, "no key frobnicate", "Put settings below"),
    ("[frobnicate]\nx = 1", 1, "no table [frobnicate]", "[profiles.work]"),
    ("client_secret = 's3cret'", 1, "client_secret is a secret", "Remove the line"),
    (f"[tool]\n{WORK}", 1, "no table [tool]", "[profiles.work]"),
]
IN_A_PROFILE = [
    ("[profiles.work.host]\n'a.b' = ['s']", 2, "no table [profiles.work.host]", "work.hosts]"),
    ("[profiles.work.Hosts]\n'a.b' = ['s']", 2, "profiles.work.Hosts", "[profiles.work.hosts]"),
    ("[profiles.work.frob]\nx = 1", 2, "no table [profiles.work.frob]", "hosts, extra_parameters"),
    ("[profiles.work.idp]\ntenant = 'x'", 2, "not a profile", '[profiles."work.idp"]'),
    ("[profiles.work.hosts]\n#\napi.contoso.com = ['s']", 4, "api.contoso.com is not in quotes",
     '"api.contoso.com" = ["scope"]'),
    ("hosts.api.contoso.com = ['s']", 2, "api.contoso.com is not in quotes", '"api.contoso.com" ='),
    ("hosts = { 127.0.0.1 = ['s'] }", 2, "127.0.0.1 is not in quotes", '"127.0.0.1" = '),
    ("[profiles.work.extra_parameters]\na.b = 'x'", 3, "a.b is not in quotes", '"a.b" = "value"'),
    ("hosts = ['api.contoso.com']", 2, "hosts must be a table", "[profiles.work.hosts]"),
    ("hosts = 'api.contoso.com'", 2, "hosts must be a table", '"api.contoso.com" = ["scope"]'),
    ("[[profiles.work.hosts]]\n'a.b' = ['s']", 2, "hosts must be a table", "profiles.work.hosts"),
    ("hosts = { 'https://a.b/c' = ['s'] }", 2, "not an exact", '"api.contoso.com" = ["scope"]'),
    ("hosts = { 'a.b' = 5 }", 2, "a.b must be a list", '"api.contoso.com" = ["scope"]'),
    ("hosts = { 'a.b' = [] }", 2, "no scopes for a.b", "["),
    ("scopes = 5", 2, "scopes must be a list of strings", 'scopes = ["one", "two"]'),
    ("scopes = [['a']]", 2, "scopes must be a list of strings", 'scopes = ["one", "two"]'),
    ("[profiles.work.scopes]\na = 1", 2, "scopes must be a list", 'scopes = ["one", "two"]'),
    ("timeout = { seconds = 5 }", 2, "timeout must be a number of seconds", "timeout = 300"),
    ("timeout = true", 2, "timeout must be a number of seconds", "timeout = 300"),
    ("timeout = 1e999", 2, "timeout must be a number of seconds", "timeout = 300"),
    ("timeout = 07:32:00", 2, "TOML reads timeout as a date", "timeout = 300"),
    ("verify = 'yes'", 2, "verify must be true, the path", "verify = true"),
    ("verify = false", 2, "verify cannot be false", "verify = true"),
    ("debug = 'perhaps'", 2, "debug must be true or false", "debug = true"),
    ("client_id = 5", 2, "client_id must be a string", 'client_id = "…"'),
    ("client_id = ''", 2, "client_id must not be empty", 'client_id = "…"'),
    ("tenant = 2024-01-01", 2, "TOML reads tenant as a date", 'tenant = "…"'),
    ("tenant = ['x']", 2, "tenant must be a string", 'tenant = "…"'),
    ("proxies = { 'http://u:s3cret@p' = 'x' }", 2, "contains 'http://p'", 'https = "http'),
    ("proxies = { 'u:s3cret@p:1' = 'x' }", 2, "contains 'p:1', which is not http", 'https = "http'),
    ("hosts = { 'https://u:s3cret@a.b' = ['s'] }", 2, "contains 'https://a.b'", "scope"),
    ("hosts = { 'u:s3cret@ä.b' = ['s'] }", 2, "in its xn-- form", "scope"),
    *[(f"redirect_uri = '{one}'", 2, "redirect_uri must be a full address", "redirect_uri =")
      for one in ("localhost:8400", "localhost", "127.0.0.1:8400/cb", "//localhost/cb", "/cb",
                  "http:///cb", "http://localhost:99999/", "http://localhost:abc/", "http://[::1/",
                  "http://localhost/a b", "http://localhost/#a")],
    ("client_secret_from = 's3cret'", 2, "client_secret_from must be one of", '"keyring"'),
    ('verify = "C:\\temp\\new.pem"', 2, "verify contains a control character", "single quotes"),
    ('tenant = "x\\u0000"', 2, "tenant contains a control character", "backslash"),
    ("flow = 'devise'", 2, "did you mean device?", 'flow = "device"'),
    ("cloud = ['public']", 2, "cloud must be a string", 'cloud = "usgov"'),
    ("open_browser = 3", 2, "open_browser must be true, false", "open_browser = true"),
    ("proxies = { htps = 'http://p:1' }", 2, "contains 'htps', which is not http", 'https = "http://proxy'),
    ("extra_parameters = { client_secret = 's3cret' }", 2, "sent through the browser", ""),
    ("profile = 'work'", 2, "profile is below [profiles.work]", "top of the file"),
    ("password = 's3cret'", 2, "password is a secret", "keyring or the environment"),
    ("Client-Secret = 's3cret'", 2, "Client-Secret is a secret", "Remove the line"),
    ("refresh_token = 's3cret'", 2, "refresh_token is a secret", "Remove the line"),
    ("api_keys = ['s3cret']", 2, "api_keys is a secret", "Remove the line"),
    ("[profiles.work.passphrase]\nx = 's3cret'", 2, "passphrase is a secret", "Remove"),
    ("client-id = 'x'", 2, "no setting client-id", "Did you mean client_id?"),
    ("scope = 'x'", 2, "no setting scope", 'Did you mean scopes? scopes = ["one", "two"]'),
    ("issuer = 'x'", 2, "no setting issuer", "Did you mean authority?"),
    ("frobnicate = 'x'", 2, "no setting frobnicate", "The settings are client_id, tenant"),
    ("'fro\\tb\"' = 'x'", 2, "no setting", "The settings are"),
]  # fmt: skip
ALL = [
    *NO_TOML,
    *OUTSIDE,
    *((WORK + text, *rest) for text, *rest in IN_A_PROFILE),
]


@pytest.mark.parametrize(
    ("content", "line", "what", "remedy"), ALL, ids=[f"{case[2] or case[0]!r}" for case in ALL]
)
@pytest.mark.parametrize("ends", ["unix", "windows", "bom"])
def test_an_error_names_the_line_and_the_correct_form(
    path: Path, content: str, line: int, what: str, remedy: str, ends: str
) -> None:
    if ends == "windows" and "\r" not in content:
        content = content.replace("\n", "\r\n")
    if ends == "bom":
        content = "\ufeff" + content
    error = refused(path, content)
    assert f"{path}, line {line}: " in str(error)
    assert what in str(error)
    assert remedy in error.hint
    assert "s3cret" not in str(error) + error.hint, "it may be a secret"
    assert error.hint


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("profile = 'work'\n".encode("utf-16"), "UTF-16"),
        ("profile = 'work'\n".encode("utf-16-le"), "UTF-16"),
        ("profile = 'work'\n".encode("utf-16-be"), "UTF-16"),
        (b"\xfe\xff" + "profile = 'work'\n".encode("utf-16-be"), "UTF-16"),
        ("profile = 'work'\n".encode("utf-32"), "UTF-16"),
        ("#\nprofile = 'Zoë'\n".encode("latin-1"), "line 2: it is not valid TOML: the byte 0xeb"),
        (b"a = " + b"[" * 100_000, "too deep"),
        (b"#" * (LARGEST + 1), "longer than a megabyte"),
    ],
)
def test_a_file_that_is_not_toml_text_is_an_error(path: Path, content: bytes, what: str) -> None:
    assert what in str(refused(path, content))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\ufeff",
        "# nothing\n",
        "\n\n",
        'profile = "work"\n\t[profiles.work]\n\ttenant\t=\t"x"\t# tab\n',
        "profile = 'work'\r\n[profiles.work]\r\ntenant = 'x'\r\n",
        "[profiles]\n",
        "[profiles.work]",
        "profiles = { work = { tenant = 'x', hosts = { 'a.b' = 's t' } } }",
        "profiles.work.tenant = 'x'\nprofiles.work.hosts.localhost = ['s']",
        "[profiles.work]\nverify = 'C:\\Users\\none.pem'\npersist = 'of-a-package'",
        "[profiles.work]\nscopes = 'a b'\ntimeout = 5\ndebug = 'off'\nproxies = {}",
        "[profiles.work]\nredirect_uri = 'http://[::1]:8400/cb'",
        "[profiles.work]\nredirect_uri = 'https://hub.example/hub/user-redirect/nbauth/callback'",
        "[profiles.work]\nredirect_uri = 'urn:ietf:wg:oauth:2.0:oob'",
        "[profiles.Zoë]",
        "[profiles.'Zoë']\ntenant = 'ü'",
    ],
)
def test_a_correct_file_is_accepted(path: Path, content: str) -> None:
    if "profiles.Zoë" in content:  # a bare key is ASCII
        assert "needs quotes" in str(refused(path, content))
        return
    file = written(path, content)
    assert file.mistakes == ()
    assert file.found
    if "tenant" in content:
        assert next(iter(file.profiles.values()))["tenant"] in ("x", "ü")


def test_an_error_names_all_lines_with_mistakes(path: Path) -> None:
    error = refused(path, WORK + "flow = 'x'\nscopes = []\ntimeout = 0\nscope = 'y'\n")
    assert "line 2: flow" in str(error)
    assert str(error).endswith(" Lines 4 and 5 also have mistakes.")
    assert str(refused(path, "a = 1\nb = 2\n")).endswith(" Line 2 also has a mistake.")


def test_the_first_existing_file_is_used_even_if_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("")
    (tmp_path / "c.toml").write_text('profile = "c"')
    paths = [tmp_path / "no-folder" / "a.toml", tmp_path / "b.toml", tmp_path / "c.toml"]
    assert read_files(paths).name == str(tmp_path / "b.toml")
    assert read_files([tmp_path / "b.toml" / "a.toml", paths[2]]).profile == "c"
    assert not read_files(paths[:1]).found


def test_a_mistake_in_the_first_file_does_not_fall_back_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("profile = ")
    (tmp_path / "b.toml").write_text('profile = "b"')
    with pytest.raises(ConfigurationError, match=r"a\.toml"):
        read_files([tmp_path / "a.toml", tmp_path / "b.toml"])


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "what"),
    [(folder, "it is a folder"), (pipe, "it is not a regular file"), (loop, "symbolic links")],
)
def test_an_unreadable_file_is_an_error_that_names_the_reason(path: Path, make, what: str) -> None:  # type: ignore[no-untyped-def]
    make(path)
    with pytest.raises(ConfigurationError, match="cannot be read: .*" + what) as caught:
        read_files([path])
    assert str(path) in str(caught.value)


def test_a_dangling_link_is_no_file_and_a_link_to_the_null_device_is_an_empty_file(
    path: Path,
) -> None:
    path.symlink_to(path.parent / "gone")
    assert not read_files([path]).found
    path.unlink()
    path.symlink_to(os.devnull)
    assert read_files([path]).found


@pytest.mark.parametrize("of", ["folder", "file"])
def test_an_unreadable_folder_is_skipped_with_a_notice_and_an_unreadable_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    """As in ``git``: ``HOME=/root`` is common in a container that runs as another user."""
    closed, other = tmp_path / "closed" / "config.toml", tmp_path / "config.toml"
    closed.parent.mkdir()
    closed.touch()
    other.write_text('profile = "other"')

    def refuse(path: object, *arguments: object) -> None:
        if path == closed:
            raise PermissionError(13, "Permission denied")

    stat, opened = os.stat, Path.open
    if of == "folder":
        monkeypatch.setattr(os, "stat", lambda path, **o: refuse(path) or stat(path, **o))
        file = read_files([closed, other])
        assert file.profile == "other"
        (told,) = file.notices("other")
        assert str(closed.parent) in told
        assert "permission denied" in told
        return
    monkeypatch.setattr(Path, "open", lambda path, *a: refuse(path) or opened(path, *a))
    with pytest.raises(ConfigurationError, match="permission denied"):
        read_files([closed, other])
