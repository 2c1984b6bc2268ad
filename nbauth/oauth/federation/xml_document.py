"""Parses XML of foreign servers, with limits, and without document types and entities.

The parser is the standard library's expat, used directly: it stops at a DOCTYPE before any entity
is read, and it reports the position of each element. The bytes of a signed element must not change,
so they are cut out of the response; ElementTree and defusedxml do not have these positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

DEEPEST = 64
"""Levels of nested elements; the metadata of AD FS have 15."""
MOST = 20_000
"""Elements, attributes and namespace declarations; the metadata of AD FS have about 3,000."""
_SEPARATOR = "\n"  # cannot occur in a namespace or a name: the parser normalises white space


class NotXml(ValueError):
    """A body that is not acceptable XML; the message says why."""


@dataclass
class Element:
    """An element. Names have the form ``{namespace}local``.

    ``declared`` has the namespaces that its start tag declares, by prefix; ``start`` and ``end``
    are positions in the bytes of the document.
    """

    name: str
    attributes: Mapping[str, str] = field(repr=False)
    declared: Mapping[str, str] = field(repr=False)
    parent: Element | None = field(repr=False, compare=False)
    start: int
    end: int = 0
    text: str = field(default="", repr=False)
    children: list[Element] = field(default_factory=list, repr=False)

    def inside(self, *names: str) -> Iterator[Element]:
        """The elements at a path below this one; ``"*"`` stands for any name."""
        found = [self]
        for name in names:
            found = [c for one in found for c in one.children if name in ("*", c.name)]
        return iter(found)

    def first(self, *names: str) -> Element | None:
        """The first element at a path below this one."""
        return next(self.inside(*names), None)

    def text_at(self, *names: str) -> str:
        """The text of the first element at a path, without surrounding white space, or ``""``."""
        found = self.first(*names)
        return found.text.strip() if found is not None else ""

    def all(self) -> Iterator[Element]:
        """This element and all below it, in the order of the document."""
        waiting = [self]
        while waiting:
            one = waiting.pop()
            yield one
            waiting += reversed(one.children)

    @property
    def scope(self) -> Mapping[str, str]:
        """The namespace of each prefix that may be used inside."""
        outer = self.parent.scope if self.parent else {}
        return {**outer, **self.declared}

    @property
    def local(self) -> str:
        """The name without its namespace."""
        return self.name.rpartition("}")[2]


@dataclass(frozen=True)
class Document:
    """A parsed document and its bytes, in UTF-8."""

    root: Element
    body: bytes = field(repr=False)

    def bytes_of(self, element: Element) -> bytes:
        """The element exactly as it was sent, as a document of its own.

        Only if it uses a prefix that an element around it declares, the declarations are added to
        its start tag. Exclusive canonicalisation, which signatures of assertions use, gives the
        same result then.
        """
        cut = self.body[element.start : element.end]
        if _names(cut) == [one.name for one in element.all()]:
            return cut
        name_end = next(at for at, byte in enumerate(cut) if byte in b" \t\r\n/>")
        scope = element.scope.items()
        missing = [(prefix, uri) for prefix, uri in scope if prefix not in element.declared]
        added = "".join(f' xmlns{":" * bool(p)}{p}="{_quoted(uri)}"' for p, uri in missing)
        return cut[:name_end] + added.encode() + cut[name_end:]


def parse(body: bytes) -> Document:
    """Parse a document. Raises ``NotXml``."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            body = body.decode("utf-16").encode()
        except UnicodeError:
            raise NotXml("its encoding is invalid") from None
    return Document(_Builder().build(body), body)


class _Builder:
    def __init__(self) -> None:
        self._parser = expat.ParserCreate("utf-8", _SEPARATOR)
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartNamespaceDeclHandler = self._declare
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._open: list[Element] = []
        self._declared: dict[str, str] = {}
        self._count = 0
        self._root: Element | None = None
        self._body = b""

    def build(self, body: bytes) -> Element:
        self._body = body
        try:
            self._parser.Parse(body, True)
        except expat.ExpatError as error:
            raise NotXml(f"not XML: {expat.ErrorString(error.code)}") from None
        assert self._root is not None
        return self._root

    def _refuse(self, *_: object) -> None:
        raise NotXml("it has a DOCTYPE")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix or ""] = uri or ""

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1 + len(attributes) + len(self._declared)
        if self._count > MOST:
            raise NotXml(f"it has more than {MOST:,} elements")
        if len(self._open) >= DEEPEST:
            raise NotXml("it is nested too deeply")
        parent = self._open[-1] if self._open else None
        declared, self._declared = self._declared, {}
        one = Element(
            _clark(name),
            {_clark(key): value for key, value in attributes.items()},
            declared,
            parent,
            self._parser.CurrentByteIndex,
        )
        if parent is not None:
            parent.children.append(one)
        else:
            self._root = one
        self._open.append(one)

    def _end(self, _name: str) -> None:
        one, at = self._open.pop(), self._parser.CurrentByteIndex
        # For <a/> this is the position behind it; for </a> that of its first character.
        whole = not (one.children or one.text) and self._body.endswith(b"/>", one.start, at)
        one.end = at if whole else self._body.index(b">", at) + 1

    def _characters(self, data: str) -> None:
        self._open[-1].text += data


def _clark(name: str) -> str:
    namespace, separator, local = name.rpartition(_SEPARATOR)
    return f"{{{namespace}}}{local}" if separator else local


def _names(cut: bytes) -> list[str]:
    """The names of the elements in a part of a document; ``[]`` if it is none by itself."""
    try:
        return [one.name for one in _Builder().build(cut).all()]
    except NotXml:
        return []


def _quoted(uri: str) -> str:
    return uri.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
