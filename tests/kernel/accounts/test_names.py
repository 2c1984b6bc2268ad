"""Accounts found by their names, also after a name has changed or its account is gone."""

from __future__ import annotations

from nbauth.core.account import Account
from nbauth.kernel.accounts.names import Names


def account(username: str, home: str, client: str = "c") -> Account:
    return Account(username, "", "", home, "https://id.example", client_id=client)


def add(names: Names, account: Account) -> None:
    names.add(account.key, [account.username.casefold()])


def test_an_account_is_found_by_user_name_and_home_account_id() -> None:
    names = Names({})
    ada, grace = account("Ada@x.example", "Sub-1"), account("grace@x.example", "Sub-2")
    add(names, ada)
    add(names, grace)
    add(names, ada)
    for text in ("Ada@x.example", "ADA@X.EXAMPLE", "Sub-1"):
        assert names.meant_by(text) == (ada.key,)
    assert names.meant_by("grace@x.example") == (grace.key,)
    assert names.meant_by("") == names.meant_by("nobody") == ()


def test_a_shared_name_means_all_its_accounts() -> None:
    names = Names({})
    one, other = account("ada@x.example", "1", "c"), account("ada@x.example", "1", "d")
    add(names, one)
    add(names, other)
    assert names.meant_by("ada@x.example") == (one.key, other.key)
    names.remove(one.key)
    assert names.meant_by("ada@x.example") == names.meant_by("1") == (other.key,)
    names.remove(other.key)
    names.remove(other.key)
    assert names.meant_by("ada@x.example") == ()


def test_a_user_name_equal_to_the_home_account_id_is_listed_once() -> None:
    names = Names({})
    add(names, same := account("sub", "sub"))
    assert names.meant_by("sub") == (same.key,)
    names.remove(same.key)
    assert names.meant_by("sub") == ()
