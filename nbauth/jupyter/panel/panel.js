// The sign-in panel's face. The kernel sends states and holds all that lasts; nothing is kept here
// and nothing is fetched but the kernel's own probe and the Jupyter server's callback page.
// ``panel_words.js``, ``panel_elements.js`` and ``panel_views.js`` come before it in the same module.

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];
const PROBE_PATIENCE = 1500; // ms
const ASLEEP_AFTER = 1500; // ms without a word from the kernel, as in a notebook just reopened
const UNSEEN_AFTER = 300; // ms without a view, as after Clear Outputs; a cell that moves is faster
const VIEW = "application/vnd.jupyter.widget-view+json";
const STATE = "application/vnd.jupyter.widget-state+json";

/** What JupyterLab and Notebook say of the page; null where it is none of theirs. */
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

async function asked(url, options, read) {
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

/** Only a page on loopback looks: from elsewhere a browser might ask the person for permission. */
function readProbe(url) {
  if (!url || !LOOPBACK.includes(location.hostname)) return null;
  return asked(url, { mode: "cors", credentials: "omit" }, (answer) => (answer.ok ? answer.text() : null));
}

function hasCallback() {
  const page = thisPage();
  if (!page?.base_url.startsWith("/")) return false;
  // JupyterHub takes a request of a script for nobody's without it, and redirects to its login page.
  const [, xsrf] = document.cookie.match(/\b_xsrf=([^;]*)/) ?? [];
  const headers = xsrf ? { "X-XSRFToken": xsrf } : {};
  const options = { credentials: "same-origin", redirect: "error", headers };
  return asked(`${page.origin}${page.base_url}nbauth/callback`, options, (answer) => answer.status === 200);
}

async function probe({ url, nonce }) {
  const [text, callback] = await Promise.all([readProbe(url), hasCallback()]);
  return { kind: "probe", nonce, text, callback: callback === true };
}

/**
 * Let a saved notebook say what was here. Opened again when the kernel is gone, JupyterLab knows
 * the panel by its id alone and would show "model not found"; so the file gets a line of text
 * under that id. A kernel that is still there has the panel itself, which then comes first. Lines
 * of panels that are no longer in the notebook go.
 */
function leaveLine(notebook, id) {
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
 * Draw anew with folds, text and focus as they were: ``data-key`` tells. The focus never moves to
 * another control, which a key meant for the notebook would then press. Where the focused one has
 * gone the panel's body has the focus, which does nothing with keys; once all is ``over``, the
 * notebook has it.
 */
function keepPlace(body, over, drawAnew) {
  const all = (selector) => [...body.querySelectorAll(selector)];
  const focused = body.getRootNode().activeElement;
  const active = body.contains(focused) ? focused : null;
  const open = new Set(all("details[open]").map((one) => one.dataset.key));
  const typed = body.querySelector(".nbauth-field")?.value;
  drawAnew();
  all("details").forEach((one) => (one.open = open.has(one.dataset.key)));
  const field = body.querySelector(".nbauth-field");
  if (field && typed) field.value = typed;
  if (!active) return;
  const same = active.dataset.key && all("[data-key]").find((one) => one.dataset.key === active.dataset.key);
  const cell = over && body.closest(".jp-Notebook")?.querySelector(".jp-Cell.jp-mod-active");
  (same || cell || body).focus({ preventScroll: true });
}

/** JupyterLab takes Enter and Space for shortcuts of its own: on a control, and alone, they press it. */
function pressByKey(event) {
  const alone = !(event.shiftKey || event.ctrlKey || event.altKey || event.metaKey);
  const presses = alone && ["Enter", " "].includes(event.key) && event.target.closest("button, a, summary");
  if (presses) event.stopPropagation();
}

/** What is worth drawing anew; times run by themselves. */
function gist({ received, expires_in, account, ...rest }) {
  return JSON.stringify([rest, expires_in == null, { ...account, expires_in: account?.expires_in == null }]);
}

/** Let the kernel show the panel again if a cell still waits for it. */
function tellUnseen(model) {
  try {
    model.send({ kind: "unseen" });
  } catch {
    // The notebook was closed, and its connection with it.
  }
}

// One call a model, so that all its views share the state.
export default () => {
  let state = null;
  let gone = false;
  const views = new Set();
  const showAll = () => views.forEach((show) => show());

  function initialize({ model }) {
    const manager = model.widget_manager;
    const saved = (_, what) => what === "started" && state && leaveLine(manager.context.model, state.id);
    manager?.context?.saveState?.connect(saved);
    // A kernel that restarts or goes takes the panel's other half with it.
    model.on("comm_live_update", async () => {
      if (!state) return;
      const other = await manager.get_model(state.id).catch(() => null);
      gone = other?.comm_live === false;
      showAll();
      if (!gone) model.send({ kind: "ready", page: thisPage() });
    });
    model.on("msg:custom", async (message) => {
      if (message.kind === "who-shows") return views.size && model.send({ kind: "ready", page: thisPage() });
      if (message.kind === "probe") return model.send(await probe(message));
      if (message.kind === "state") {
        const pasted = state?.pasted && message.authorize_url === state.authorize_url;
        state = { ...message, received: Date.now(), pasted };
      } else if (message.kind === "paste-refused" && state) {
        state = { ...state, pasted: false, refused: message.error };
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
    const act = {
      state: () => state,
      ready: () => send("ready", { page: thisPage() }),
      cancel: () => send("cancel"),
      signOut: (account) => send("sign-out", { account }),
      use: (account) => send("use", { account }),
      paste: (text) => {
        send("paste", { text });
        state = { ...state, pasted: true, refused: null };
        showAll();
      },
      signIn: (flow) => (starting(), send("sign-in", flow && { flow })),
      switch: (flow) => (starting(), send("switch", { flow })),
    };

    function say(text) {
      if (status.textContent !== text) status.textContent = text;
    }

    function show() {
      const now = gone ? "gone" : state && gist(state);
      if (now && now !== drawn) {
        drawn = now;
        ticks = [];
        const parts = () => (gone ? [line(WORDS.gone, "faint")] : draw(state, act, ticks).filter(Boolean));
        keepPlace(body, gone || isOver(state), () => body.replaceChildren(...parts()));
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
      setTimeout(() => views.size || tellUnseen(model), UNSEEN_AFTER);
    };
  }

  return { initialize, render };
};
