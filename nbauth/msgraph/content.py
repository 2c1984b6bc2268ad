"""Content of Graph that is not JSON: bytes with a short display; a picture is shown."""

from __future__ import annotations

from typing import Any

_PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n": "image/png", b"GIF8": "image/gif"}


class Content(bytes):
    """The bytes of a response, such as those of ``me/photo/$value``."""

    def __repr__(self) -> str:
        return f"<{len(self):,} bytes>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any] | None:
        for begin, kind in _PICTURES.items():
            if self.startswith(begin):
                from base64 import b64encode

                return {"text/plain": repr(self), kind: b64encode(self).decode("ascii")}
        return None
