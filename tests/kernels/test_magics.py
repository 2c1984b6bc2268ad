"""The magics in a real kernel, against the demo provider."""

from __future__ import annotations

import pytest

from tests.harness.kernels import Kernel
from tests.kernels.conftest import environment


@pytest.fixture(scope="module")
def signed_in(demo):
    """A kernel with the extension loaded; tests sign in as they need."""
    with Kernel("7.4", env=environment(demo, NBAUTH_REDACT="false"), allow_stdin=True) as kernel:
        assert kernel.run("%load_ext nbauth").status == "ok"
        kernel.run("import os, nbauth")
        yield kernel


@pytest.fixture
def kernel(signed_in, willing_person):
    result = signed_in.run("account = %login --flow device --quiet")
    assert result.status == "ok", result.traceback
    return signed_in


def value(kernel, expression):
    result = kernel.run(f"print(({expression}))")
    assert result.status == "ok", result.traceback
    return result.text.strip()


def test_login_gives_an_account(kernel):
    assert value(kernel, "type(account).__name__, account.username") == (
        "('Account', 'ada.demo@demo.example')"
    )


def test_login_says_that_you_are_signed_in(kernel):
    result = kernel.run("again = %login")
    assert result.text.startswith("Already signed in as ada.demo@demo.example.")
    assert len(result.text.splitlines()) == 1
    assert value(kernel, "again == account") == "True"


def test_quiet_login_says_nothing(kernel):
    assert kernel.run("_ = %login --quiet").text == ""


def test_doctor_reports_the_environment_and_starts_nothing(kernel, demo):
    before = len(demo.provider.store.devices)
    result = kernel.run("%login --doctor --offline --tenant contoso.com")
    assert result.status == "ok", result.traceback
    said = {line[:20].strip(): line[20:].strip() for line in result.text.splitlines()}
    assert said["kernel"] == "may be on another machine than the browser; the panel finds out"
    assert said["a person"] == "can answer"
    assert said["tenant"].split() == ["contoso.com", "(this", "call)"]
    assert said["client_id"].startswith(demo.client_id)
    assert said["client_id"].endswith("(NBAUTH_CLIENT_ID)")
    assert said["register"].startswith(f"client {demo.client_id}")
    assert "trouble" not in said
    assert len(demo.provider.store.devices) == before
    assert result.data == []


def test_offline_without_the_doctor_is_refused(kernel):
    result = kernel.run("%login --offline")
    assert "--offline needs --doctor." in str(result.traceback) + result.text


def test_token_as_a_value_is_masked(kernel):
    result = kernel.run("%token")
    assert result.result == "<nbauth.Token ••••••••>"
    kernel.run("t = %token User.Read")
    secret = value(kernel, "str(t)")
    assert len(secret) > 20
    assert secret not in str(kernel.run("t, [t], {'t': t}").data)
    assert secret not in str(kernel.run("t.value, t.header").data)


def test_token_into_a_variable_shows_nothing(kernel):
    result = kernel.run("%token --into held")
    assert (result.text, result.result) == ("", "")
    assert value(kernel, "type(held).__name__") == "Token"


def test_token_str_is_rebound_before_a_cell_in_which_it_would_expire(kernel):
    kernel.run("%token --into text --str")
    assert value(kernel, "type(text).__name__") == "SecretStr"
    before = value(kernel, "str(text)")
    kernel.run("from nbauth.api import the_session\nthe_session().acquire(force_refresh=True)")
    after = value(kernel, "str(text)")
    assert before != after
    kernel.run("text = 'mine now'")
    kernel.run("the_session().acquire(force_refresh=True)")
    assert value(kernel, "text") == "mine now"


def test_token_env_is_refreshed_and_removed(kernel):
    kernel.run("%token --env API_TOKEN")
    before = value(kernel, "os.environ['API_TOKEN']")
    kernel.run("nbauth.acquire(force_refresh=True)")
    assert value(kernel, "os.environ['API_TOKEN']") not in {before, ""}
    kernel.run("nbauth.logout()")
    assert value(kernel, "os.environ.get('API_TOKEN')") == "None"


def test_token_header(kernel):
    kernel.run("h = %token --header")
    assert value(kernel, "list(h), h['Authorization'][:7]") == "(['Authorization'], 'Bearer ')"
    assert "••••" in kernel.run("h").result


def test_token_show_shows_all_but_the_secret(kernel):
    result = kernel.run("%token --show")
    for word in ("ada.demo@demo.example", "User.Read", "tenant", "expires", "source"):
        assert word in result.text
    assert value(kernel, "str(nbauth.token())") not in result.text
    assert "refresh" in kernel.run("%token --force-refresh --show").text


def test_accounts_is_a_table_and_a_list(kernel):
    result = kernel.run("%accounts")
    assert "ada.demo@demo.example" in result.result
    assert "<table" in result.data[-1]["text/html"]
    assert value(kernel, "[a.username for a in nbauth.accounts()]") == "['ada.demo@demo.example']"
    assert kernel.run("%accounts use ADA.demo@demo.example --quiet").status == "ok"
    refused = kernel.run("%accounts use nobody@demo.example")
    assert "nobody@demo.example is not signed in here" in refused.traceback


def test_logout_says_that_the_browser_session_stays(kernel):
    result = kernel.run("%logout")
    assert "Signed out ada.demo@demo.example" in result.text
    assert "browser" in result.text
    assert value(kernel, "nbauth.accounts()") == "[]"
    assert "Nobody was signed in." in kernel.run("%logout").text


def test_held_token_after_logout_needs_a_new_sign_in(kernel):
    kernel.run("held = nbauth.token(interactive=False)\n%logout --quiet")
    assert "NotSignedIn" in kernel.run("str(held)").traceback


def test_reload_keeps_the_signed_in_account(kernel):
    assert kernel.run("%reload_ext nbauth").status == "ok"
    assert "Already signed in" in kernel.run("%login").text


def test_unload_removes_all_that_load_added(kernel):
    kernel.run("%token --env API_TOKEN")
    kernel.run("%token --into text --str")
    kernel.run("%unload_ext nbauth")
    assert value(kernel, "os.environ.get('API_TOKEN'), 'text' in globals()") == "(None, False)"
    assert "not found" in kernel.run("%login").text + kernel.run("%login").traceback
    names = "[f for f in get_ipython().events.callbacks['pre_run_cell'] if 'nbauth' in str(f)]"
    assert value(kernel, names) == "[]"
    configurables = "[c for c in get_ipython().configurables if 'nbauth' in type(c).__module__]"
    assert value(kernel, configurables) == "[]"
    kernel.run("%load_ext nbauth")
    assert "Already signed in" in kernel.run("%login").text


def test_config_sets_and_refuses(kernel):
    kernel.run("%config NbAuth.timeout = 90")
    assert value(kernel, "nbauth.api.the_session().settings().timeout") == "90.0"
    refused = kernel.run("%config NbAuth.verify = False")
    assert "cannot be false" in refused.text + refused.traceback
    refused = kernel.run("%config NbAuth.profile = 'wrok'")
    assert "no profile 'wrok'" in refused.text + refused.traceback
    kernel.run("%config NbAuth.timeout = None")
    assert value(kernel, "nbauth.api.the_session().settings().timeout") == "None"


@pytest.mark.parametrize("magic", ["login", "logout", "token", "accounts"])
def test_help_and_completion(kernel, magic):
    kernel.client.complete(f"%{magic} --", len(magic) + 4)
    reply = kernel.client.get_shell_msg(timeout=30)  # the first one loads jedi, for seconds
    assert "--quiet" in " ".join(reply["content"]["matches"])
    described = value(kernel, f"get_ipython().find_magic('{magic}').__doc__")
    assert "--profile" in described


def test_variables_and_expressions_expand(kernel):
    kernel.run("scope = 'User.Read'\nname = 'expanded'")
    kernel.run("%token $scope --into {name}")
    assert value(kernel, "type(expanded).__name__") == "Token"


def test_await_login_at_top_level(kernel):
    kernel.run("%logout --quiet")
    result = kernel.run("who = await nbauth.login_async(flow='device')")
    assert result.status == "ok", result.traceback
    assert value(kernel, "who.username") == "ada.demo@demo.example"


def test_background_returns_at_once_and_the_next_cell_waits(kernel):
    kernel.run("%logout --quiet")
    kernel.run("attempt = %login --background --flow device")
    assert value(kernel, "type(attempt).__name__") == "SignIn"
    result = kernel.run("print(nbauth.acquire().account.username)")
    assert result.text.strip().endswith("ada.demo@demo.example"), result.traceback


def test_run_takes_a_coroutine_from_a_plain_cell_and_keeps_queued_cells(kernel):
    kernel.run("import asyncio\norder = []")
    cell = "async def late():\n    await asyncio.sleep(0.5)\n    return 42\n"
    idents = [kernel.send(cell + "order.append(nbauth.run(late()))")]
    idents += [kernel.send(f"order.append({number})") for number in range(3)]
    kernel.wait(*idents, timeout=15)
    assert value(kernel, "order") == "[42, 0, 1, 2]"
