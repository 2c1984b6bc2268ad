"""P7 and P8: lists of Graph, and objects by id, of nbauth and of its peers at one local server.

Each client is a process of its own; nbauth is signed in at the demo's provider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from statistics import median

from benchmarks.graph_peers import SDK
from benchmarks.graph_room import Given, Room, Took, room
from benchmarks.graph_server import LARGEST, PAGE, identifier
from benchmarks.table import Row, size
from nbauth.demo.servers import Demo
from tests.harness.secret_service import running_secret_service

NEAR, FAR = 0.005, 0.05
"""Seconds before each answer."""
ROWS, FEW, STREAMED, IDS, REFUSED = 10_000, 1_000, 100_000, 500, 10
PROCESSES, TURNS, FEW_RUNS = 7, 7, 3
BY_HAND = "requests"


def measure_lists(demo: Demo) -> list[Row]:
    """P7."""
    with room(demo) as here:
        return [*first_pages(here), *lists(here), *frames(here), *memory(here)]


def lists(here: Room) -> list[Row]:
    """Whole lists, near and far; msgraph-sdk's take long, so each of them is run once."""
    rows: list[Row] = []
    for latency, turns in ((NEAR, TURNS), (FAR, FEW_RUNS)):
        here.server.set(rows=ROWS, latency=latency)
        for top, said in ((PAGE, "100 a page"), (LARGEST, "999 a page")):
            calls: dict[str, Given] = {
                "nbauth": ("nbauth", "rows", PAGE if top == PAGE else None),
                BY_HAND: (BY_HAND, "rows", top),
            }
            if top == LARGEST:
                calls["O365"] = ("O365", "rows", top)
            took = here.by_turns(turns, calls, ROWS)
            what = f"{ROWS:,} rows, {said}, {ms(latency)} away"
            rows += compared("P7", what, took, "≤ 1.1")
            ours, theirs = took["nbauth"].cpu, took[BY_HAND].cpu
            rows.append(Row("P7", f"{what}: the client's CPU time", ours, BY_HAND, theirs, "–"))
            if latency == NEAR:
                rows += sdk_lists(here, what, top, took["nbauth"].seconds)
    return rows


def sdk_lists(here: Room, what: str, top: int, ours: float) -> list[Row]:
    """At 999 a page it gets a tenth of the rows."""
    sdk = "msgraph-sdk"
    here.server.set(rows=PAGE, latency=NEAR)
    here.call(sdk, "rows", top)  # imports 1,800 modules
    count = ROWS if top == PAGE else FEW
    here.server.set(rows=count, latency=NEAR)
    took = here.call(sdk, "rows", top)
    assert took.result == count
    if count == FEW:
        what = what.replace(f"{ROWS:,}", f"{FEW:,}")
        ours = here.by_turns(TURNS, {"nbauth": ("nbauth", "rows", None)}, FEW)["nbauth"].seconds
    here.server.set(rows=ROWS, latency=NEAR)
    return [Row("P7", what, ours, f"{sdk}, one run", took.seconds, "–")]


def frames(here: Room) -> list[Row]:
    """Rows that are there already, to a DataFrame; and the whole of ``graph.df``."""
    here.server.set(rows=ROWS, latency=NEAR)
    ours = here.call("nbauth", "to_frame", ROWS).result / 1e6
    theirs = {
        how: here.call(BY_HAND, "to_frame", ROWS, how).result / 1e6
        for how in ("DataFrame", "json_normalize")
    }
    calls: dict[str, Given] = {
        "df": ("nbauth", "frame"),
        "rows": ("nbauth", "rows", None),
    }
    took = here.by_turns(TURNS, calls, ROWS)
    what = f"{ROWS:,} rows to a DataFrame"
    whole = f'`graph.df("users")`, {ROWS:,} rows, {ms(NEAR)} away'
    return [
        *(
            Row("P7", what, ours, f"`pandas.{how}`", seconds, "≤ 10 ms")
            for how, seconds in theirs.items()
        ),
        Row("P7", whole, took["df"].seconds, "itself, `list`", took["rows"].seconds, "–"),
    ]


def first_pages(here: Room) -> list[Row]:
    """The median of fresh processes, from the first line of their source."""
    here.server.set(rows=ROWS)
    names = ("nbauth", BY_HAND, "stored", "msal", "O365", "msgraph-sdk")
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with running_secret_service() as service:
        environment = {**here.environment, **service.environment, "NBAUTH_PERSIST": "keyring"}
        here.fresh("sign in", environment)
        for turn in range(PROCESSES + 1):
            for name in names:
                if name != "msgraph-sdk" or turn <= FEW_RUNS:  # each takes two seconds
                    shown = here.fresh(name, environment if name == "stored" else {})
                    if turn:
                        seen[name].append(shown)

    def took(name: str, what: str = "page") -> float:
        return median(one[what] for one in seen[name])

    page = "first page in a new process, imports included"
    hand = "`import msal, requests`, token at hand"
    return [
        Row("P7", "`import nbauth`, a `Graph`, a sign-in put into the cache",
            took("nbauth", "imported"), hand, took(BY_HAND, "imported"), "≤ 15 ms more"),
        Row("P7", f"{page}; sign-in in memory", took("nbauth"), hand, took(BY_HAND), "≤ 150 ms"),
        Row("P7", f"{page}; sign-in in memory", took("nbauth"), "O365, token at hand",
            took("O365"), "–"),
        Row("P7", f"{page}; sign-in in memory", took("nbauth"), "msgraph-sdk, token at hand",
            took("msgraph-sdk"), "–"),
        Row("P7", f"{page}; stored sign-in, key in a keyring", took("stored"),
            "requests, msal and the plain file of msal-extensions", took("msal"), "–"),
    ]  # fmt: skip


def memory(here: Room) -> list[Row]:
    """``tracemalloc``'s peaks, each in a process of its own."""
    here.server.set(rows=STREAMED)
    ours, theirs = (here.fresh(what)["peak"] for what in ("streamed", "one page"))
    what = f"memory while {STREAMED:,} rows are read, 999 a page"
    return [Row("P7", what, ours, "requests, one page", theirs, "≤ 1.5", size)]


def measure_by_id(demo: Demo) -> list[Row]:
    """P8."""
    ids = [identifier(number) for number in range(IDS)]
    rows: list[Row] = []
    with room(demo) as here:
        for latency in (NEAR, FAR):
            here.server.set(rows=IDS, latency=latency)
            calls: dict[str, Given] = {
                f"nbauth, width {width}": ("nbauth", "by_id", ids, width) for width in (4, 8)
            } | {f"`$batch` by hand, {width} threads": (BY_HAND, "by_id", ids, width)
                 for width in (4, 8)}  # fmt: skip
            took = here.by_turns(TURNS, calls, IDS)
            what = f"{IDS} by id, {ms(latency)} away"
            for width in (4, 8):
                near = {"nbauth": took[f"nbauth, width {width}"]}
                by_hand = f"`$batch` by hand, {width} threads"
                held = "≤ 1.1" if width == 8 else "≤ 0.8 s" if latency == FAR else "–"
                near[by_hand] = took[by_hand]
                rows += compared("P8", f"{what}, width {width}", near, held)
            ours = took["nbauth, width 4"].seconds
            rows += [Row("P8", f"{what}, width 4", ours, said, theirs, "–")
                     for said, theirs in slow(here, ids, latency)]  # fmt: skip
        rows += throttled(here, ids)
    return rows


def slow(here: Room, ids: list[str], latency: float) -> Iterator[tuple[str, float]]:
    """The peers that need a request for each; each once.

    Far away, those that take half a minute get a fifth of the ids.
    """
    part, times = (ids, 1) if latency == NEAR else (ids[: IDS // 5], 5)
    of = "" if times == 1 else f", {times} × {len(part)}"
    here.call("msgraph-sdk", "by_id", ids[:16], 16)  # imports, and connections
    yield "msgraph-sdk, 16 at a time", here.call("msgraph-sdk", "by_id", ids, 16).seconds
    for name in ("msgraph-sdk", "O365", BY_HAND):
        here.call(name, "by_id_alone", ids[:1])
        took = here.call(name, "by_id_alone", part)
        assert took.result == len(part)
        yield f"{name}, one by one{of}", took.seconds * times


def throttled(here: Room, ids: list[str]) -> list[Row]:
    """Each tenth is refused once; who loses one fails."""
    what = f"the same, {IDS // REFUSED} of them refused once"
    clients: dict[str, Given] = {
        "nbauth": ("nbauth", "by_id", ids, 8),
        "`$batch` by hand, 8 threads": (BY_HAND, "by_id", ids, 8),
        "msgraph-sdk, 16 at a time": ("msgraph-sdk", "by_id", ids, 16),
    }
    took: dict[str, Took] = {}
    calls: dict[str, int] = {}
    for name, (peer, *given) in clients.items():
        runs = []
        for _ in range(1 if peer == "msgraph-sdk" else FEW_RUNS):
            here.server.set(rows=IDS, latency=FAR, refuse=REFUSED)
            runs.append(here.call(peer, *given))
            assert runs[-1].result == IDS, (name, runs[-1])
            calls[name] = here.server.counts()["calls"]
        took[name] = Took(median(t.seconds for t in runs), median(t.cpu for t in runs), IDS)
    counted = [
        Row("P8", f"{what}: requests to the server", calls["nbauth"], name, count, held, number)
        for name, count in calls.items()
        if name != "nbauth"
        for held in ["≤ 30" if "by hand" in name else "–"]
    ]
    return [*compared("P8", f"{what}, {ms(FAR)} away, width 8", took, "≤ 1.1"), *counted]


def compared(number_: str, what: str, took: Mapping[str, Took], held: str) -> list[Row]:
    """nbauth beside each of the others; the first of them is what it is held to."""
    ours = took["nbauth"].seconds
    others = [(name, one.seconds) for name, one in took.items() if name != "nbauth"]
    return [
        Row(number_, what, ours, name, seconds, held if position == 0 else "–")
        for position, (name, seconds) in enumerate(others)
    ]


def sdk_version() -> str:
    """Of msgraph-sdk, which is not installed but in a folder."""
    (found,) = distributions(name="msgraph-sdk", path=[str(SDK)])
    return found.version


def ms(seconds: float) -> str:
    """A latency."""
    return f"{seconds * 1000:.0f} ms"


def number(amount: float) -> str:
    """A count."""
    return f"{amount:.0f}"
