"""A state is read as it was written, whatever its text; tests/core has the chosen examples."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nbauth.core.callback_state import CallbackState

SECRET = "s" * 43


@given(st.text(max_size=80), st.from_regex(r"[\w-]{1,100}", fullmatch=True))
def test_any_name_that_is_taken_comes_back(name: str, kernel_id: str) -> None:
    try:
        state = CallbackState(name, kernel_id, SECRET)
    except ValueError:
        return
    assert CallbackState.parse(str(state)) == state


@given(st.text(alphabet="aZ09._-~=/%. \n", max_size=120))
def test_text_that_is_read_is_the_only_text_of_its_state(text: str) -> None:
    try:
        state = CallbackState.parse(text)
    except ValueError:
        return
    assert str(state) == text
