// The elements of the panel. Data becomes text, never markup. Only http(s) becomes a link.

const COPIED_FOR = 2000; // ms
const HURRY = 60_000; // ms

/** An element: h("a", {class: "x", href: "…"}, "text", child, …). Null and false are left out. */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

const row = (...children) => h("div", { class: "nbauth-row" }, ...children);
const line = (text, kind = "line") => text && h("div", { class: `nbauth-${kind}`, dir: "auto" }, text);

/**
 * A name, isolated from the direction of the text around it. A mail address runs from left to
 * right in every script.
 */
const isolated = (text, tag = "bdi") => h(tag, { dir: text.includes("@") ? "ltr" : "auto" }, text);

/** ``key`` identifies a control after a redraw. Controls with different actions have different keys. */
const button = (text, kind, key, onclick) =>
  h("button", { type: "button", class: `nbauth-button nbauth-${kind}`, "data-key": key, onclick }, text);

/** A link to a provider's page, as a button. */
function link(text, href) {
  if (!/^https?:\/\//i.test(href)) return null;
  const hidden = h("span", { class: "nbauth-hidden" }, ` ${WORDS.newTab}`);
  const attributes = { class: "nbauth-button nbauth-primary nbauth-out", "data-key": "open", href };
  return h("a", { ...attributes, target: "_blank", rel: "noopener noreferrer" }, text, hidden);
}

/** Details that are folded away. */
const fold = (summary, key, ...children) =>
  h("details", { "data-key": key }, h("summary", { "data-key": `${key}-summary` }, summary),
    h("div", { class: "nbauth-folded" }, ...children));

/** Pairs of a term and one or several texts. A pair without a text is left out. */
const facts = (pairs) => {
  const present = pairs.map(([word, value]) => [word, [value].flat().filter(Boolean)]).filter(([, all]) => all.length);
  return h("dl", {}, present.flatMap(([word, all]) => [h("dt", {}, word), h("dd", {}, all.map((one) => isolated(one, "div")))]));
};

const spinner = () => h("span", { class: "nbauth-spinner", "aria-hidden": "true" });

function head(title, aside) {
  return h("div", { class: "nbauth-head" }, h("strong", { class: "nbauth-title" }, title), aside);
}

function time(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
}

/** A countdown. It is not a live region, because a screen reader would read every second. */
function countdown(ticks, end, say, ended = () => {}) {
  const node = h("span", { class: "nbauth-time", role: "timer" });
  let over = false;
  ticks.push(() => {
    const left = end() - Date.now();
    node.textContent = say(left);
    node.classList.toggle("nbauth-hurry", left < HURRY);
    if (left <= 0 && !over) ended();
    over = left <= 0;
  });
  return node;
}

function hostOf(address) {
  try {
    return new URL(address).host;
  } catch {
    return "";
  }
}

/** The first grapheme: an emoji of several code points is one. */
function firstLetter(word) {
  const parts = globalThis.Intl?.Segmenter ? new Intl.Segmenter().segment(word) : word;
  const [first] = parts;
  return first?.segment ?? first ?? "";
}

/** Two initials of a name in a script with capital letters, else one. */
function initials(name) {
  const words = name.replace(/@.*/, "").split(/[\s._-]+/).filter(Boolean);
  const ends = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  const letters = ends.map(firstLetter);
  const capitals = letters.every((letter) => /^[\p{Lu}\p{Ll}\p{Lt}]/u.test(letter));
  return letters.slice(0, capitals ? 2 : 1).join("").toUpperCase() || "?";
}

/** Joins texts for a screen reader. Each ends with one full stop. */
const sentences = (texts) =>
  texts.filter(Boolean).map((text) => text.trim().replace(/[^.!?…:]$/, "$&.")).join(" ");

async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // There is no clipboard (plain http), or it is not allowed: use the old method.
    const area = h("textarea", { class: "nbauth-hidden", readonly: "", "aria-hidden": "true" });
    area.value = text;
    near.after(area);
    area.select();
    try {
      return document.execCommand("copy");
    } catch {
      return false;
    } finally {
      area.remove();
      near.focus();
    }
  }
}
