"""Property tests of ``CallbackState``; tests/core has examples."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nbauth.core.callback_state import CallbackState

SECRET = "s" * 43


@given(st.text(max_size=80), st.from_regex(r"[\w-]{1,100}", fullmatch=True))
def test_any_accepted_server_name_round_trips(name: str, kernel_id: str) -> None:
    try:
        state = CallbackState(name, kernel_id, SECRET)
    except ValueError:
        return
    assert CallbackState.parse(str(state)) == state


@given(st.text(alphabet="aZ09._-~=/%. \n", max_size=120))
def test_a_parsed_text_is_the_only_form_of_its_state(text: str) -> None:
    try:
        state = CallbackState.parse(text)
    except ValueError:
        return
    assert str(state) == text
