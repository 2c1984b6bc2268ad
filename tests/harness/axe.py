"""Deque's accessibility checker, run on a part of a page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator

from tests.harness import missing
from tests.harness.kernels import ROOT

AXE = ROOT / "tests" / "harness" / "node" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
"""Tags of the rules that are asked for: WCAG 2.0 to 2.2, levels A and AA, and good practice."""
_RUN = """async (node, rules) => {
  // JupyterLab's body has no height and its overflow is hidden: axe takes all in it for invisible.
  document.body.style.minHeight = "100vh";
  const { violations, incomplete, passes } =
    await axe.run(node, { runOnly: { type: "tag", values: rules } });
  document.body.style.minHeight = "";
  const told = (results) => results.flatMap(({ id, nodes }) => nodes.map(
    (one) => `${id}: ${one.html} ${(one.any[0] ?? one.all[0] ?? one.none[0])?.message ?? ""}`));
  const seen = passes.concat(violations).find(({ id }) => id === "color-contrast")?.nodes ?? [];
  return [seen.filter(({ any }) => any[0]?.data?.contrastRatio).length, told(violations),
    told(incomplete)];
}"""


def axe_complaints(part: Locator) -> list[str]:
    """What is wrong with the part of the page, or could not be decided; one line an element."""
    if not AXE.is_file():
        missing("axe-core: run make setup")
    part.scroll_into_view_if_needed()
    if not part.page.evaluate("'axe' in window"):
        part.page.evaluate(AXE.read_text(encoding="utf-8"))
    answer: list[Any] = part.evaluate(_RUN, RULES)
    seen, violations, undecided = answer
    assert seen, "axe has seen no text"
    return [*violations, *(f"undecided: {line}" for line in undecided)]
