// The front end of the sign-in panel. The kernel sends states; nothing is stored here. The panel
// fetches only the kernel's own probe and the Jupyter server's callback page.
// ``panel_words.js``, ``panel_elements.js`` and ``panel_views.js`` precede it in the same module.

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];
const PROBE_PATIENCE = 1500; // ms
const ASLEEP_AFTER = 1500; // ms without a message from the kernel, as in a notebook just reopened
const UNSEEN_AFTER = 300; // ms without a view, as after Clear Outputs; moving a cell takes less
const VIEW = "application/vnd.jupyter.widget-view+json";
const STATE = "application/vnd.jupyter.widget-state+json";

/** The addresses that JupyterLab or Notebook has written into the page; null on other pages. */
function thisPage() {
  try {
    const config = JSON.parse(document.getElementById("jupyter-config-data").textContent);
    const text = (name) => (typeof config[name] === "string" ? config[name] : "");
    const { origin } = location;
    const hub = { hub_host: text("hubHost"), hub_prefix: text("hubPrefix") };
    return { origin, base_url: text("baseUrl"), ...hub, server_name: text("hubServerName") };
  } catch {
    return null;
  }
}

async function fetchInTime(url, options, read) {
  const stop = new AbortController();
  const late = setTimeout(() => stop.abort(), PROBE_PATIENCE);
  try {
    return read(await fetch(url, { cache: "no-store", signal: stop.signal, ...options }));
  } catch {
    return null;
  } finally {
    clearTimeout(late);
  }
}

/** Only from a page on loopback: elsewhere, a browser may ask the person for permission. */
function readProbe(url) {
  if (!url || !LOOPBACK.includes(location.hostname)) return null;
  return fetchInTime(url, { mode: "cors", credentials: "omit" }, (answer) => (answer.ok ? answer.text() : null));
}

function hasCallback() {
  const page = thisPage();
  if (!page?.base_url.startsWith("/")) return false;
  // Without the header, JupyterHub treats a request of a script as unauthenticated and redirects to its login.
  const [, xsrf] = document.cookie.match(/\b_xsrf=([^;]*)/) ?? [];
  const headers = xsrf ? { "X-XSRFToken": xsrf } : {};
  const options = { credentials: "same-origin", redirect: "error", headers };
  return fetchInTime(`${page.origin}${page.base_url}nbauth/callback`, options, (answer) => answer.status === 200);
}

async function probe({ url, nonce }) {
  const [text, callback] = await Promise.all([readProbe(url), hasCallback()]);
  return { kind: "probe", nonce, text, callback: callback === true };
}

/**
 * Save a line of text in the notebook in place of the panel. When the notebook is opened without
 * its kernel, JupyterLab has only the panel's id and would show "model not found". So the line is
 * saved as a widget with that id. If the kernel still runs, its panel takes precedence. The lines
 * of panels that are no longer in the notebook are removed.
 */
function saveLine(notebook, id) {
  const known = notebook.getMetadata("widgets")?.[STATE];
  const shown = new Set();
  for (const cell of notebook.cells) {
    for (let n = 0; n < (cell.outputs?.length ?? 0); n++) shown.add(cell.outputs.get(n).data[VIEW]?.model_id);
  }
  const mine = (entry) => entry.model_name === "HTMLModel" && entry.state.value === WORDS.saved;
  const entries = Object.entries(known?.state ?? {});
  const state = Object.fromEntries(entries.filter(([key, entry]) => shown.has(key) || !mine(entry)));
  const controls = { model_module: "@jupyter-widgets/controls", model_module_version: "2.0.0" };
  if (shown.has(id)) state[id] ??= { model_name: "HTMLModel", ...controls, state: { value: WORDS.saved } };
  if (Object.keys(state).length) {
    notebook.setMetadata("widgets", { [STATE]: { version_major: 2, version_minor: 0, ...known, state } });
  } else if (known) notebook.deleteMetadata("widgets");
}

/**
 * Redraw, and restore open folds, typed text and focus by ``data-key``; a password only while the
 * same one is asked for (``data-keep``). The focus never moves to another
 * control, because a key for the notebook would then press that control. If the focused control
 * no longer exists, the panel's body gets the focus, which ignores keys; from there it moves to a
 * field that asks again (``data-again``). If the sign-in is ``over``, the notebook gets it.
 */
function redraw(body, over, replace) {
  const all = (selector) => [...body.querySelectorAll(selector)];
  const focused = body.getRootNode().activeElement;
  const active = body.contains(focused) ? focused : null;
  const open = new Set(all("details[open]").map((one) => one.dataset.key));
  const typed = new Map(all(".nbauth-field").map((one) => [one.dataset.keep, one.value]));
  all(".nbauth-field").forEach((one) => (one.value = ""));
  replace();
  all("details").forEach((one) => (one.open = open.has(one.dataset.key)));
  all(".nbauth-field").forEach((one) => (one.value = typed.get(one.dataset.keep) || one.value));
  if (!active) return;
  const same = active.dataset.key && all("[data-key]").find((one) => one.dataset.key === active.dataset.key);
  const again = active === body && body.querySelector("[data-again]");
  const cell = over && body.closest(".jp-Notebook")?.querySelector(".jp-Cell.jp-mod-active");
  (same || again || cell || body).focus({ preventScroll: true });
}

/** JupyterLab has shortcuts for Enter and Space. On a control, without modifiers, they press it. */
function pressByKey(event) {
  const alone = !(event.shiftKey || event.ctrlKey || event.altKey || event.metaKey);
  const presses = alone && ["Enter", " "].includes(event.key) && event.target.closest("button, a, summary");
  if (presses) event.stopPropagation();
}

/** The part of the state whose changes need a redraw. Times update themselves. */
function visiblePart({ received, expires_in, account, ...rest }) {
  return JSON.stringify([rest, expires_in == null, { ...account, expires_in: account?.expires_in == null }]);
}

/** The kernel shows the panel again if a cell still waits for it. */
function sendUnseen(model) {
  try {
    model.send({ kind: "unseen" });
  } catch {
    // The notebook was closed, and its connection with it.
  }
}

// Called once for each model, so that all its views share the state.
export default () => {
  let state = null;
  let gone = false;
  const views = new Set();
  const showAll = () => views.forEach((show) => show());

  function initialize({ model }) {
    const manager = model.widget_manager;
    const saved = (_, what) => what === "started" && state && saveLine(manager.context.model, state.id);
    manager?.context?.saveState?.connect(saved);
    // After a restart or the end of the kernel, its part of the panel no longer exists.
    model.on("comm_live_update", async () => {
      if (!state) return;
      const other = await manager.get_model(state.id).catch(() => null);
      gone = other?.comm_live === false;
      showAll();
      if (!gone) model.send({ kind: "ready", page: thisPage() });
    });
    model.on("msg:custom", async (message) => {
      if (message.kind === "report-views") return views.size && model.send({ kind: "ready", page: thisPage() });
      if (message.kind === "probe") return model.send(await probe(message));
      if (message.kind === "state") {
        const pasted = state?.pasted && message.authorize_url === state.authorize_url;
        state = { ...message, received: Date.now(), pasted };
      } else if (message.kind === "input-refused" && state) {
        state = { ...state, pasted: false, entered: false, refused: message.error };
      } else return;
      gone = false;
      showAll();
    });
    return () => manager?.context?.saveState?.disconnect(saved);
  }

  function render({ model, el }) {
    let ticks = [];
    let drawn = null;
    const tick = () => ticks.forEach((update) => update());
    const body = h("div", { class: "nbauth-body", tabindex: "-1" });
    const status = h("div", { class: "nbauth-hidden", role: "status", "aria-live": "polite" });
    const panel = { class: "nbauth-panel", role: "group", "aria-label": WORDS.panel };
    el.classList.add("nbauth-view");
    el.append(h("div", { ...panel, onkeydown: pressByKey }, body, status));

    function starting() {
      const { id, asks, ways } = state;
      state = { id, asks, ways, state: "waiting", message: WORDS.starting, received: Date.now() };
      showAll();
    }
    const send = (kind, more) => model.send({ kind, ...more });
    /** As bytes beside the message, because the kernel may log messages. */
    const sendTyped = (kind, text, more) =>
      model.send({ kind, ...more }, undefined, [new TextEncoder().encode(text).buffer]);
    const act = {
      state: () => state,
      ready: () => send("ready", { page: thisPage() }),
      cancel: () => send("cancel"),
      signOut: (account) => send("sign-out", { account }),
      use: (account) => send("use", { account }),
      paste: (text) => {
        sendTyped("paste", text);
        state = { ...state, pasted: true, refused: null };
        showAll();
      },
      enter: (username, password) => {
        const question = state.password.id;
        const complete = username.trim() && password;
        if (complete) sendTyped("password", password, { username, question });
        state = { ...state, entered: complete, refused: complete ? null : [WORDS.passwordMissing] };
        showAll();
      },
      signIn: (flow) => (starting(), send("sign-in", flow && { flow })),
      switch: (flow) => (starting(), send("switch", { flow })),
    };

    function say(text) {
      if (status.textContent !== text) status.textContent = text;
    }

    function show() {
      const now = gone ? "gone" : state && visiblePart(state);
      if (now && now !== drawn) {
        drawn = now;
        ticks = [];
        const parts = () => (gone ? [line(WORDS.gone, "faint")] : draw(state, act, ticks).filter(Boolean));
        redraw(body, gone || isOver(state), () => body.replaceChildren(...parts()));
        body.parentElement.dataset.state = gone ? "gone" : state.state;
        say(gone ? WORDS.gone : announce(state));
      }
      tick();
    }

    views.add(show);
    show();
    const timer = setInterval(tick, 1000);
    const asleep = setTimeout(() => state || body.replaceChildren(line(WORDS.asleep, "faint")), ASLEEP_AFTER);
    act.ready();
    return () => {
      clearInterval(timer);
      clearTimeout(asleep);
      views.delete(show);
      setTimeout(() => views.size || sendUnseen(model), UNSEEN_AFTER);
    };
  }

  return { initialize, render };
};
