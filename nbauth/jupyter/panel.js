// The sign-in panel's face. The kernel sends states and holds all that lasts; nothing is kept here
// and nothing is fetched but the kernel's own probe. Data becomes text, never markup.

const WORDS = {
  panel: "Sign in with nbauth",
  signIn: "Sign in",
  signedOut: "You are not signed in.",
  starting: "Asking the provider…",
  copyStep: "Copy this code",
  copy: "Copy",
  copied: "Copied",
  copyByHand: "Press Ctrl+C",
  enterStep: "Enter it on the sign-in page",
  compareStep: "Check that the sign-in page shows the same code",
  openPage: "Open sign-in page",
  openBrowser: "Continue in the browser",
  newTab: "(opens a new tab)",
  cancel: "Cancel",
  left: (time) => `${time} left`,
  asks: "What this asks for",
  scopes: "Permissions",
  client: "Application",
  authority: "Authority",
  codeReady: "Your code is ready. Copy it, then open the sign-in page.",
  browserReady: "Continue in the browser to sign in.",
  failed: "Sign-in failed",
  cancelled: "Sign-in cancelled",
  cancelledHint: "Nothing was changed. You can start again whenever you like.",
  expired: "Sign-in expired",
  expiredHint: "The old code and address no longer work.",
  again: "Try again",
  signedIn: (name) => `Signed in as ${name}`,
  token: (time) => `Token: ${time} left`,
  tokenEnded: "Token expired; the next use renews it",
  signOut: "Sign out",
  asleep: "No word from the kernel. Run the cell again to sign in.",
};
const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];
const PROBE_PATIENCE = 1500; // ms
const COPIED_FOR = 2000; // ms
const ASLEEP_AFTER = 1500; // ms without a word from the kernel, as in a notebook just reopened

/** An element: h("a", {class: "x", href: "…"}, "text", child, …); absent children are left out. */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

const button = (text, kind, onclick) =>
  h("button", { type: "button", class: `nbauth-button nbauth-${kind}`, onclick }, text);

/** A link to a provider's page; the kernel lets only http and https through, and so do we. */
function link(text, href) {
  if (!/^https?:\/\//i.test(href)) return null;
  const hidden = h("span", { class: "nbauth-hidden" }, ` ${WORDS.newTab}`);
  const attributes = { class: "nbauth-button nbauth-primary", href, target: "_blank" };
  return h("a", { ...attributes, rel: "noopener noreferrer" }, text, hidden);
}

function time(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
}

function initials(name) {
  const words = name.replace(/@.*/, "").split(/[\s._-]+/).filter(Boolean);
  const ends = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return ends.map((word) => Array.from(word)[0]).join("").toUpperCase() || "?";
}

async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard there (plain http), or not allowed: the old way.
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

/** A time that runs down. Not a live region: nobody wants to hear every second. */
function countdown(ticks, end, say, ended = () => {}) {
  const node = h("span", { class: "nbauth-time", role: "timer" });
  let over = false;
  ticks.push(() => {
    const left = end - Date.now();
    node.textContent = say(left);
    if (left <= 0 && !over) ended((over = true));
  });
  return node;
}

function codeRow(code) {
  const shown = h("code", { class: "nbauth-code", translate: "no" }, code);
  const copyButton = button(WORDS.copy, "secondary", async () => {
    const done = await copy(code, copyButton);
    if (!done) getSelection().selectAllChildren(shown);
    copyButton.textContent = done ? WORDS.copied : WORDS.copyByHand;
    copyButton.classList.toggle("nbauth-copied", done);
    setTimeout(() => {
      copyButton.textContent = WORDS.copy;
      copyButton.classList.remove("nbauth-copied");
    }, COPIED_FOR);
  });
  copyButton.setAttribute("aria-live", "polite");
  return h("div", { class: "nbauth-row" }, shown, copyButton);
}

function asks({ scopes, client_id, authority }) {
  const facts = [[WORDS.scopes, scopes.join(" ")], [WORDS.client, client_id]];
  facts.push([WORDS.authority, authority]);
  const list = facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { dir: "auto" }, value)]);
  return h("details", {}, h("summary", {}, WORDS.asks), h("dl", {}, ...list));
}

function waiting(state, send, ticks) {
  const page = state.verification_uri_complete || state.verification_uri;
  let main;
  if (state.user_code && page) {
    const enter = state.verification_uri_complete ? WORDS.compareStep : WORDS.enterStep;
    const address = h("span", { class: "nbauth-faint", dir: "ltr" }, state.verification_uri);
    main = h(
      "ol",
      { class: "nbauth-steps" },
      h("li", {}, h("div", {}, WORDS.copyStep), codeRow(state.user_code)),
      h("li", {}, h("div", {}, enter), h("div", { class: "nbauth-row" }, link(WORDS.openPage, page), address)),
    );
  } else {
    const spinner = state.authorize_url ? null : h("span", { class: "nbauth-spinner", "aria-hidden": "true" });
    const row = h("div", { class: "nbauth-row", dir: "auto" }, spinner, h("span", {}, state.message || WORDS.starting));
    const go = state.authorize_url && h("div", { class: "nbauth-row" }, link(WORDS.openBrowser, state.authorize_url));
    main = h("div", {}, row, go || null);
  }
  const left = state.expires_in == null
    ? null
    : countdown(ticks, state.received + state.expires_in * 1000, (ms) => WORDS.left(time(ms)));
  const foot = h("div", { class: "nbauth-row nbauth-foot" }, state.asks ? asks(state.asks) : null);
  foot.append(button(WORDS.cancel, "secondary", () => send("cancel")));
  return [h("div", { class: "nbauth-head" }, h("strong", {}, WORDS.signIn), left), main, foot];
}

function ended(state, send) {
  const hint = { cancelled: WORDS.cancelledHint, expired: WORDS.expiredHint }[state.state];
  const what = state.state === "cancelled" ? null : state.error[0];
  const lines = [what, hint || state.error[1]].filter(Boolean);
  return [
    h("div", { class: "nbauth-head" }, h("strong", {}, WORDS[state.state])),
    h("div", {}, ...lines.map((line) => h("div", { class: "nbauth-line", dir: "auto" }, line))),
    h("div", { class: "nbauth-row" }, button(WORDS.again, "primary", () => send("sign-in"))),
  ];
}

function chip({ account, received }, send, ticks) {
  const name = account.name || account.username;
  const under = [account.name && account.username, account.tenant].filter(Boolean);
  const say = (ms) => (ms > 0 ? WORDS.token(time(ms)) : WORDS.tokenEnded);
  const end = received + account.expires_in * 1000;
  const left = account.expires_in == null
    ? null // renewed in the kernel, perhaps: one look when it runs out
    : countdown(ticks, end, say, () => account.expires_in > 0 && send("ready"));
  return [
    h(
      "div",
      { class: "nbauth-row nbauth-chip" },
      h("span", { class: "nbauth-avatar", "aria-hidden": "true" }, initials(name)),
      h(
        "div",
        { class: "nbauth-who" },
        h("strong", { dir: "auto" }, name),
        ...under.map((line) => h("div", { class: "nbauth-faint", dir: "auto" }, line)),
        left,
      ),
      button(WORDS.signOut, "secondary", () => send("sign-out")),
    ),
  ];
}

const signedOut = (send) => [
  h("div", { class: "nbauth-row nbauth-chip" },
    h("span", { class: "nbauth-who" }, WORDS.signedOut),
    button(WORDS.signIn, "primary", () => send("sign-in"))),
];

function draw(state, send, ticks) {
  if (state.state === "waiting") return waiting(state, send, ticks);
  if (state.state === "done") return chip(state, send, ticks);
  if (state.state === "signed-out") return signedOut(send);
  return ended(state, send);
}

/** What a screen reader says when the state has changed. */
function announce(state) {
  if (state.state === "done") return WORDS.signedIn(state.account.name || state.account.username);
  if (state.state === "signed-out") return WORDS.signedOut;
  if (state.state !== "waiting") return [WORDS[state.state], ...state.error].join(". ");
  if (state.user_code) return WORDS.codeReady;
  return state.authorize_url ? WORDS.browserReady : state.message || WORDS.starting;
}

/** Only a page on loopback looks: from elsewhere a browser might ask the person for permission. */
async function probe({ url, nonce }) {
  let text = null;
  if (LOOPBACK.includes(location.hostname)) {
    const stop = new AbortController();
    const late = setTimeout(() => stop.abort(), PROBE_PATIENCE);
    const options = { mode: "cors", cache: "no-store", credentials: "omit", signal: stop.signal };
    text = await fetch(url, options).then((answer) => (answer.ok ? answer.text() : null), () => null);
    clearTimeout(late);
  }
  return { kind: "probe", nonce, text };
}

// One call a model, so that all its views share the state.
export default () => {
  let state = null;
  const views = new Set();

  function initialize({ model }) {
    model.on("msg:custom", async (message) => {
      if (message.kind === "probe") return model.send(await probe(message));
      if (message.kind !== "state") return;
      state = { ...message, received: Date.now() };
      views.forEach((show) => show());
    });
  }

  function render({ model, el }) {
    let ticks = [];
    const tick = () => ticks.forEach((update) => update());
    const body = h("div", { class: "nbauth-body" });
    const status = h("div", { class: "nbauth-hidden", role: "status", "aria-live": "polite" });
    // Lab would take Enter and Space for its own shortcuts.
    const panel = { class: "nbauth-panel", role: "group", "aria-label": WORDS.panel };
    el.append(h("div", { ...panel, "data-lm-suppress-shortcuts": "true" }, body, status));

    function send(kind) {
      if (kind === "sign-in" && state) {
        state = { kind: "state", state: "waiting", message: WORDS.starting, received: Date.now() };
        views.forEach((show) => show());
      }
      model.send({ kind });
    }

    function show() {
      if (!state) return;
      const focused = body.contains(document.activeElement);
      ticks = [];
      body.replaceChildren(...draw(state, send, ticks));
      body.parentElement.dataset.state = state.state;
      tick();
      if (focused) body.querySelector("a, button")?.focus();
      if (status.textContent !== announce(state)) status.textContent = announce(state);
    }

    views.add(show);
    show();
    const timer = setInterval(tick, 1000);
    const asleep = setTimeout(() => state || body.replaceChildren(WORDS.asleep), ASLEEP_AFTER);
    model.send({ kind: "ready" });
    return () => {
      clearInterval(timer);
      clearTimeout(asleep);
      views.delete(show);
    };
  }

  return { initialize, render };
};
