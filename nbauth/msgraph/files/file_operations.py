"""The calls for files and for changes, which block until they have a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from nbauth.msgraph.addresses import Path, Root
from nbauth.msgraph.files.unfinished import Unfinished
from nbauth.msgraph.odata import Options
from nbauth.msgraph.sender import Sender

if TYPE_CHECKING:
    from nbauth.msgraph.changes import Changes
    from nbauth.msgraph.collected import Partial
    from nbauth.msgraph.files.sources import File
    from nbauth.msgraph.files.targets import To
    from nbauth.msgraph.files.upload import Conflict

CHUNK = 10 * 1024 * 1024


class Files:
    """The part of :class:`nbauth.msgraph.operations.Operations` for files and changes."""

    root: Root
    partial: Partial | Changes | None
    _sender: Sender
    _unfinished: Unfinished

    def delta(
        self,
        path: Path,
        state: str | None = None,
        *,
        progress: bool = True,
        **options: Unpack[Options],
    ) -> Changes:
        """What has changed since an earlier call; without a state, all rows.

        ``rows, state = graph.delta("users/delta")``; then ``graph.delta("users/delta", state)``.
        The result has the last version of each row, the ids that were removed, and the state for
        the next call, a ``str`` that can be stored in a file and contains no token. If the service
        has dropped the state, all rows are read again once, and ``reset`` is true. To keep a dict
        of all rows by id up to date::

            changes = graph.delta("users/delta", state)
            changes.apply_to(users)
            state = changes.state

        After an interrupt or an error, :attr:`partial` has the changes that were read, and
        ``partial.next_link`` is the state to go on with.

        Args:
            state: of an earlier call; its options are in it.
            progress: whether a progress bar appears after a second; needs tqdm.
            options: of the first call.
        """
        from nbauth.msgraph.delta import Delta

        delta = Delta(self._sender, path, state, options)
        try:
            return delta.read(progress)
        except BaseException:
            self.partial = delta.changes
            raise

    def upload(
        self,
        path: Path,
        file: File,
        *,
        conflict: Conflict = "replace",
        chunk: int = CHUNK,
        progress: bool = True,
    ) -> Any:
        """Upload a file to a drive; returns the drive item, as a dict.

        Files up to 4 MiB are sent in one request, others in slices. After a lost connection it goes
        on where the service has stopped. After an interrupt or an error, the same call goes on too,
        with the same content, in this kernel.

        Args:
            path: ``me/drive/root:/folder/name.txt``, or ``drives/{id}/items/{id}``.
            file: a path, bytes, or a file object opened in binary mode, which is read from its
                position to its end. One that cannot seek is copied first.
            conflict: if the name is taken: ``"replace"``, ``"rename"`` or ``"fail"``.
            chunk: the bytes of a slice, less than 60 MiB; rounded to a multiple of 320 KiB.
            progress: whether a progress bar appears after a second; needs tqdm.
        """
        from nbauth.msgraph.files.upload import Upload

        url = self.root.url(path)
        return Upload(self._sender, self._unfinished, url, conflict, chunk).send(file, progress)

    def download(self, path: Path, to: To | None = None, *, progress: bool = True) -> Any:
        """Download a file, a report, a photo or other content.

        The content is complete, or it raises ``GraphError``. After a lost connection it goes on
        where it was cut, if the service can tell that the content has not changed.

        Args:
            path: of the content; of a file in a drive also without ``/content``.
            to: a path, which is returned, and where nothing appears before all is there; a folder,
                which gets a file of the same name; a file object opened in binary mode; ``None``
                returns bytes.
            progress: whether a progress bar appears after a second; needs tqdm.
        """
        from nbauth.msgraph.files.download import download
        from nbauth.msgraph.files.file_paths import content_url

        request = self._sender.request("GET", content_url(self.root.url(path)), {})
        return download(self._sender.transport, request, to, progress)
