// Finds elements of a page as Playwright's locators do: the body of a script of WebDriver's.
// ``steps`` lead from the document to them; ``want`` says what of them is given back.
const [steps, want] = arguments;
const shown = (e) => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== "hidden";
const words = (text) => (text ?? "").replace(/\s+/g, " ").trim();
const name = (e) => words(e.getAttribute("aria-label") ?? (e.innerText || e.value));
const same = (text, wanted, exact) =>
  exact ? text === wanted : text.toLowerCase().includes(wanted.toLowerCase());
const roles = {
  button: "button, [role=button], input[type=submit]", link: "a[href]", heading: "h1, h2, h3",
  alert: "[role=alert]", group: "[role=group]", textbox: "input, textarea",
};
const inside = (roots, selector) => [...new Set(roots.flatMap((r) => [...r.querySelectorAll(selector)]))];
const kinds = {
  css: (roots, selector) => inside(roots, selector),
  role: (roots, role, wanted, exact) =>
    inside(roots, roles[role]).filter((e) => shown(e) && (wanted === null || same(name(e), wanted, exact))),
  label: (roots, wanted) => inside(roots, "[aria-label]").filter((e) => same(name(e), wanted, false)),
  text: (roots, wanted) => inside(roots, "*").filter((e) => same(words(e.innerText), wanted, false)
    && ![...e.children].some((child) => same(words(child.innerText), wanted, false))),
  nth: (roots, n) => roots.slice(n, n + 1),
  or: (roots, others) => [...roots, ...find(others)],
};
const find = (steps) =>
  steps.reduce((roots, [kind, ...args]) => kinds[kind](roots, ...args), [document]);
const found = find(steps);
if (want === "elements") return found;
if (want === "shown") return found.filter(shown);
if (want === "texts") return found.map((e) => e.innerText);
return found.length;
