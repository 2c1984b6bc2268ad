"""What a stolen folder reveals, and the effect of another user's or account's file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nbauth.persistence import Entry, persistence_named, seal
from nbauth.testing.canary import find, make_canary
from nbauth.testing.persistence import ADA, OTHERS
from tests.faults.conftest import TABLE, Figure
from tests.faults.sizes import FULL
from tests.persistence.keyrings import Working, in_use
from tests.persistence.stored import Stored


def hex_dump(name: str, data: bytes) -> str:
    """In the format of ``hexdump -C``."""
    lines = [f"== {name}"]
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<47}  |{text}|")
    return "\n".join(lines) + "\n"


def test_no_secret_is_in_a_dump_of_all_files(tmp_path: Path, figure: Figure) -> None:
    canaries = {name: make_canary(name) for name in ("refresh", "access", "user", "issuer", "app")}
    entry = Entry(f"https://{canaries['issuer']}", canaries["app"], canaries["user"])
    keyring = Working(tmp_path / "keyring")
    with in_use(keyring):
        kernel = persistence_named("keyring", folder=tmp_path / "kept")
        text = f"{canaries['refresh']} {canaries['access']}"
        kernel.save(entry, text.encode())
        kernel.use(entry)
        with kernel.refreshing(entry):
            assert kernel.load(entry) == text.encode()
    dumps = [
        (str(path.relative_to(tmp_path)), path.read_bytes())
        for path in sorted((tmp_path / "kept").rglob("*"))
        if path.is_file()
    ]
    dumps.append(("the keyring's entry", str(keyring.entries).encode()))
    sizes = [len(data) for _, data in dumps]
    assert len([size for size in sizes if size]) == 3, "the sign-in, who is current, the key"
    dump = "".join(hex_dump(*one) for one in dumps)
    everything = b"\n".join([dump.encode(), *(data for _, data in dumps)])
    assert [name for name, canary in canaries.items() if find(canary, everything)] == []
    assert find(canaries["user"], everything + canaries["user"].encode()), "it would be found"
    if FULL:
        TABLE.parent.mkdir(exist_ok=True)
        (TABLE.parent / "kept.hex").write_text(dump)
    shown = "0 canary bytes in any form (test-results/kept.hex)"
    figure("S10", "hex dump of files and keyring entry", f"{len(canaries)} canaries", shown)


@pytest.mark.parametrize("other", OTHERS)
def test_a_file_of_another_entry_is_rejected(other: Entry, tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.save(ADA, b"Ada's")
    stored.save(other, b"another's")
    shutil.copy(stored.file(other), stored.file(ADA))
    assert stored.load(ADA) is None
    assert len(stored.notices) == 1
    assert stored.load(other) == b"another's"


def test_a_file_of_another_key_is_rejected(tmp_path: Path) -> None:
    mine, theirs = Stored(tmp_path / "mine"), Stored(tmp_path / "theirs", key=b"t" * 32)
    for stored in (mine, theirs):
        stored.save(ADA, b"data")
    shutil.copy(theirs.file(ADA), mine.file(ADA))
    assert mine.load(ADA) is None
    assert len(mine.notices) == 1


def test_a_file_of_another_user_is_rejected_even_with_the_same_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    mine = Stored(tmp_path)
    mine.save(ADA, b"data")
    monkeypatch.setattr(seal, "operating_system_user", lambda: "uid 4711")
    theirs = Stored(tmp_path)
    assert theirs.file(ADA) == mine.file(ADA)
    assert theirs.load(ADA) is None
    assert len(theirs.notices) == 1
    figure(
        "S10",
        "ciphertext in another place",
        f"of {len(OTHERS)} other accounts and clients, another key, another user",
        "each refused and set aside",
    )


def test_a_restored_older_copy_is_accepted(tmp_path: Path) -> None:
    """Its encryption is valid; the provider refuses its refresh token, and a sign-in follows."""
    stored = Stored(tmp_path)
    stored.save(ADA, b"older")
    older = stored.file(ADA).read_bytes()
    stamp = stored.stamp(ADA)
    stored.save(ADA, b"newer")
    stored.file(ADA).write_bytes(older)
    assert stored.load(ADA) == b"older"
    assert stored.stamp(ADA) != stamp


def test_equal_plaintexts_have_different_ciphertexts(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    seen = set()
    for _ in range(20):
        stored.save(ADA, b"the same")
        seen.add(stored.file(ADA).read_bytes())
    assert len(seen) == 20
    assert len({data[8:20] for data in seen}) == 20
