"""Deque's accessibility checker, run on a part of a page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator

from tests.harness import missing
from tests.harness.kernels import ROOT

AXE = ROOT / "tests" / "harness" / "node" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
"""Tags of the rules to check: WCAG 2.0 to 2.2, levels A and AA, and best practices."""
_RUN = """async ([parts, rules]) => {
  // JupyterLab's body has no height and hidden overflow: axe treats its content as invisible.
  document.body.style.minHeight = "100vh";
  const { violations, incomplete, passes } =
    await axe.run(parts, { runOnly: { type: "tag", values: rules }, elementRef: true });
  document.body.style.minHeight = "";
  const told = (results) => results.flatMap(({ id, nodes }) => nodes.map(
    (one) => `${id}: ${one.html} ${(one.any[0] ?? one.all[0] ?? one.none[0])?.message ?? ""}`));
  const seen = passes.concat(violations).find(({ id }) => id === "color-contrast")?.nodes ?? [];
  const texts = seen.filter(({ any }) => any[0]?.data?.contrastRatio).map((one) => one.element);
  return [parts.map((part) => texts.filter((text) => part.contains(text)).length),
    told(violations), told(incomplete)];
}"""


def axe_complaints(*parts: Locator) -> list[str]:
    """Violations in these parts of the page, and undecided checks; one line for each element.

    Most of the time is spent on reading the whole page, so check all parts in one call.
    """
    if not AXE.is_file():
        missing("axe-core: run make setup")
    page = parts[0].page
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    answer: list[Any] = page.evaluate(_RUN, [[one.element_handle() for one in parts], RULES])
    seen, violations, undecided = answer
    assert all(seen), f"axe has seen no text in one of the parts: {seen}"
    return [*violations, *(f"undecided: {line}" for line in undecided)]
