"""A person who is stored, and then signs in with a flow that is never stored (the broker)."""

from __future__ import annotations

from nbauth.core.account import Account
from nbauth.kernel.accounts.grants import FlowGrant
from tests.kernel.accounts.machine import Machine
from tests.kernel.conftest import redirect


def test_another_kernels_refresh_does_not_drop_the_flow(machine: Machine) -> None:
    first, second = machine.kernel(attended=True), machine.kernel()
    ada = first.login("read", web_ui=redirect)
    assert isinstance(ada, Account)
    again = first.login("read", flow="broker", force=True)
    assert again == ada
    second.acquire("read", force_refresh=True)
    first.acquire("read", force_refresh=True)
    grants = first.cache.signed_in[ada.key].grants
    assert any(isinstance(grant, FlowGrant) for grant in grants)


def test_a_sign_out_elsewhere_signs_out_the_stored_sign_in_only(machine: Machine) -> None:
    first, second = machine.kernel(attended=True), machine.kernel()
    ada = first.login("read", web_ui=redirect)
    assert isinstance(ada, Account)
    first.login("read", flow="broker", force=True)
    second.logout(all=True)
    first.new_cell()
    assert first.acquire("read", force_refresh=True).account == ada


def test_nothing_of_it_is_stored_for_the_next_kernel(machine: Machine) -> None:
    first = machine.kernel(attended=True)
    ada = first.login("read", web_ui=redirect)
    assert isinstance(ada, Account)
    first.login("read", flow="broker", force=True)
    first.acquire("read", force_refresh=True)
    third = machine.kernel()
    assert third.acquire("read", force_refresh=True).account == ada
