"""Delta queries over the change log of a collection."""

from __future__ import annotations

from typing import Any

from tests.harness.graph.listener import Recorded
from tests.harness.graph.lists import link, options_of, selected, size_of_page, state_of, token
from tests.harness.graph.replies import Refused, Reply
from tests.harness.graph.rows import Collection


def delta_page(collection: Collection, request: Recorded, version: str) -> Reply:
    """One page of a delta query: all rows at first, later those that changed."""
    options = options_of(request)
    if options.get("$deltatoken") == "latest":
        start: dict[str, Any] = {"end": len(collection.log), "ids": []}
    elif "$deltatoken" in options:
        known = _known(collection, options["$deltatoken"])
        changed = list(dict.fromkeys(collection.log[int(known["since"]) :]))
        start = {"end": len(collection.log), "ids": changed, "select": known["select"]}
    elif "$skiptoken" in options:
        start = _known(collection, options["$skiptoken"])
    else:
        start = {"end": len(collection.log), "all": True}
    position = int(start.get("from", 0))
    size = size_of_page(
        collection, request, {"$top": str(start["top"])} if "top" in start else options
    )
    select = start.get("select", options.get("$select", ""))
    ids = list(collection.rows) if start.get("all") else start["ids"]
    shown = ids[position : position + size]
    if collection.replay and position:
        shown = [ids[position - 1], *shown]
    answer: dict[str, Any] = {"@odata.context": f"{request.root}/{version}/$metadata#x"}
    kept = {"list": collection.name + "/delta", "select": select}
    if position + size < len(ids):
        state = {**start, **kept, "top": size, "from": position + size}
        answer["@odata.nextLink"] = link(request, version, {}, skiptoken=token(state))
    else:
        state = {**kept, "since": start["end"]}
        answer["@odata.deltaLink"] = link(request, version, {}, deltatoken=token(state))
    answer["value"] = [_row(collection, ident, select) for ident in shown]
    return Reply(200, answer)


def _known(collection: Collection, text: str) -> dict[str, Any]:
    state = state_of(text)
    if state.get("list") != collection.name + "/delta":
        raise Refused(400, "syncStateNotFound", "The sync state generation is not found.")
    return state


def _row(collection: Collection, ident: str, select: str) -> dict[str, Any]:
    row = collection.rows.get(ident)
    if row is None:
        reason = collection.removed.get(ident, "deleted")
        return {"id": ident, "@removed": {"reason": reason}}
    return selected(collection, row, select)
