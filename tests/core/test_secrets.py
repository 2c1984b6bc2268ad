from __future__ import annotations

import copy
import io
import json
import pickle
import pprint
import traceback

import pytest

from nbauth.core.secret import SecretStr

TEXT = "eyJ.canary.sig"
SECRET = SecretStr(TEXT)


@pytest.mark.parametrize(
    "show",
    [
        repr,
        pprint.pformat,
        ascii,
        lambda secret: repr([secret]),
        lambda secret: repr({"a": (secret,)}),
        lambda secret: pprint.pformat({"a": [secret]}),
        lambda secret: f"{secret!r}",
        lambda secret: "%r" % (secret,),  # noqa: UP031
    ],
)
def test_repr_is_masked(show: object) -> None:
    shown = show(SECRET)  # type: ignore[operator]
    assert TEXT not in shown
    assert "secret" in shown


def test_repr_of_an_error_is_masked() -> None:
    with pytest.raises(KeyError) as caught:
        {}[SECRET]
    assert TEXT not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "use",
    [
        str,
        "{}".format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret:s}",
        lambda secret: "" + secret,
        lambda secret: secret + "",
        lambda secret: "".join([secret]),
        lambda secret: "%s" % secret,  # noqa: UP031
        lambda secret: secret.encode().decode(),
    ],
)
def test_the_text_can_be_used(use: object) -> None:
    assert use(SECRET) == TEXT  # type: ignore[operator]


def test_str_returns_a_plain_str() -> None:
    assert type(str(SECRET)) is str
    assert repr(str(SECRET)) == repr(TEXT)


def test_json_contains_the_text() -> None:
    """A ``str`` subclass cannot prevent that; the output guard masks it in the notebook."""
    assert json.dumps({"token": SECRET}) == json.dumps({"token": TEXT})


def test_it_compares_and_hashes_like_its_text() -> None:
    assert TEXT == SECRET
    assert {SECRET: 1}[TEXT] == 1


def test_copies_are_the_same_object() -> None:
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy(SECRET) is SECRET
    assert copy.deepcopy([SECRET])[0] is SECRET


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_raises_without_writing_the_secret(protocol: int) -> None:
    file = io.BytesIO()
    with pytest.raises(TypeError, match="cannot be pickled") as caught:
        pickle.dump({"token": SECRET}, file, protocol)
    assert TEXT not in str(caught.value)
    assert TEXT.encode() not in file.getvalue()
