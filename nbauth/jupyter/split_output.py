"""Text of one stream, in which a secret may be split over several messages."""

from __future__ import annotations

from collections.abc import Iterable

HELD_FROM = 8
"""A text may end with the beginning of a secret. From this length on, that end is kept back."""


class Beginnings:
    """The beginnings of the forms of the known secrets."""

    def __init__(self, forms: Iterable[str]) -> None:
        self._by_head: dict[str, list[str]] = {}
        self._short: set[str] = set()
        self._longest = 0
        for form in forms:
            self._by_head.setdefault(form[:HELD_FROM], []).append(form)
            self._short.update(form[:length] for length in range(1, HELD_FROM))
            self._longest = max(self._longest, len(form))

    def at_end_of(self, text: str) -> int:
        """The length of the longest beginning of a form with which the text ends."""
        length = 0
        for head, forms in self._by_head.items():
            at = text.find(head, max(0, len(text) - self._longest))
            while at >= 0 and len(text) - at > length:
                rest = text[at:]
                if any(len(rest) < len(form) and form.startswith(rest) for form in forms):
                    length = len(rest)
                at = text.find(head, at + 1)
        if length:
            return length
        short = (n for n in range(HELD_FROM - 1, 0, -1) if text[-n:] in self._short)
        return min(next(short, 0), len(text))

    def end_of_form(self, text: str, start: int) -> int:
        """Where the form that stands at ``start`` ends; 0 if none does."""
        forms = self._by_head.get(text[start : start + HELD_FROM], ())
        return max((start + len(form) for form in forms if text.startswith(form, start)), default=0)


class SplitOutput:
    """What a stream has sent last, and what is kept back until more of it is known.

    Attributes:
        sent: the end of the sent text, if a secret may begin with it.
        held: the text that is kept back.
    """

    def __init__(self) -> None:
        self.sent = ""
        self.held = ""

    def take(self, text: str, beginnings: Beginnings) -> tuple[str, bool]:
        """What to send now, and whether it contains a mask for a secret that was sent in part."""
        from nbauth.core.secret import MASK  # here, so that %load_ext stays fast

        total, begin = self.sent + self.held + text, len(self.sent)
        masked = ""
        for start in range(len(self.sent)):
            if (end := beginnings.end_of_form(total, start)) > begin:
                masked, begin = MASK, end
                break
        rest = total[begin:]
        length = beginnings.at_end_of(rest if masked else total)
        held = min(length, len(rest)) if length >= HELD_FROM else 0
        self.held = rest[len(rest) - held :]
        self.sent = total[len(total) - length : len(total) - held]
        return masked + rest[: len(rest) - held], bool(masked)

    def release(self) -> str:
        """What was kept back, to be sent now."""
        text, self.held = self.held, ""
        self.sent += text
        return text
