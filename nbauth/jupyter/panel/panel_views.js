// The view of each state. ``act`` has the actions of the buttons; ``ticks`` collects the functions
// that are called every second.

const SCOPES_SHOWN = 4;
let boxes = 0;

// ── pieces ────────────────────────────────────────────────────────────────────────────────────

function codeRow(code) {
  const shown = h("code", { class: "nbauth-code", translate: "no" }, code);
  const copyButton = button(WORDS.copy, "secondary", "copy", async () => {
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
  return row(shown, copyButton);
}

/** The field for the pasted address. It is cleared before its text is used. */
function pasteBox(state, act) {
  const refused = state.refused;
  const id = `nbauth-refused-${++boxes}`;
  const field = h("input", {
    type: "text", class: "nbauth-field nbauth-masked", "data-key": "paste", "data-keep": "paste", "aria-label": WORDS.pasteLabel,
    autocomplete: "off", autocapitalize: "off", spellcheck: "false", placeholder: "https://…",
    "data-lm-suppress-shortcuts": "true", // only here are the shortcuts of JupyterLab off
    "aria-invalid": refused ? "true" : null, "aria-describedby": refused ? id : null,
  });
  const send = () => {
    const text = field.value;
    field.value = "";
    field.focus();
    if (text.trim()) act.paste(text);
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) send();
  });
  const why = refused && h("div", { id, class: "nbauth-alert", role: "alert" },
    ...refused.map((text) => line(text)));
  const sent = state.pasted && h("div", { class: "nbauth-row nbauth-start" }, spinner(), line(WORDS.pasted, "faint"));
  return h("div", {}, h("div", { class: "nbauth-row nbauth-paste" }, field,
    button(WORDS.pasteSend, "secondary", "paste-send", send)), why || sent || null);
}

/**
 * User name and password. The password is cleared before it is used, and it is not in a form, so
 * that a browser does not submit it by itself.
 */
function passwordForm(state, act) {
  const { username, note, refusal, attempt, id: question } = state.password;
  const refused = state.refused ?? refusal;
  const id = `nbauth-refused-${++boxes}`;
  const field = (key, label, more) => {
    const input = h("input", {
      class: "nbauth-field", "data-key": key, "data-keep": `${key}-${question}`, autocapitalize: "off",
      spellcheck: "false", "data-lm-suppress-shortcuts": "true", "aria-invalid": refused ? "true" : null,
      "aria-describedby": refused ? id : null, ...more,
    });
    return [input, h("label", { class: "nbauth-labelled" }, h("span", {}, label), input)];
  };
  const [name, nameRow] = field("username", WORDS.username, { type: "text", autocomplete: "username", dir: "ltr", value: username });
  const [password, passwordRow] = field("password", WORDS.password, {
    type: "password", autocomplete: "current-password", "data-again": attempt > 1 ? "" : null,
  });
  const send = () => {
    const [who, text] = [name.value, password.value];
    password.value = "";
    (who.trim() ? password : name).focus();
    act.enter(who, text);
  };
  for (const input of [name, password]) {
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) send();
    });
  }
  const why = refused && h("div", { id, class: "nbauth-alert", role: "alert" }, ...refused.map((text) => line(text)));
  return h("div", { class: "nbauth-password" },
    note && h("div", { class: "nbauth-note" }, line(note)), nameRow, passwordRow, why,
    row(button(WORDS.passwordSend, "primary", "password-send", send)));
}

/** The application and the requested permissions in one line. The full list is in a fold. */
function asksLine({ application, permissions }) {
  if (!permissions.length) return null;
  const shown = permissions.slice(0, SCOPES_SHOWN).flatMap((one, n) => [n ? ", " : "", isolated(one)]);
  const rest = permissions.length - SCOPES_SHOWN;
  return h("div", { class: "nbauth-faint nbauth-asks" }, isolated(application || WORDS.thisNotebook, "b"), WORDS.asksFor,
    ...shown, `${rest > 0 ? WORDS.andMore(rest) : ""}.`);
}

/** The host that refused a request of the cell, and so needs the permissions. */
const neededBy = (host) => h("div", { class: "nbauth-note nbauth-needed" }, isolated(host, "b"), WORDS.neededBy);

const asksFold = ({ scopes, client_id, authority }) =>
  fold(WORDS.asks, "asks", facts([[WORDS.scopes, scopes], [WORDS.client, client_id], [WORDS.authority, authority]]));

/** The remaining time, from the newest state of the kernel. */
function timeLeft(act, ticks) {
  const end = () => act.state().received + act.state().expires_in * 1000;
  return countdown(ticks, end, (ms) => WORDS.left(time(ms)));
}

/** Other ways to sign in, each with an explanation. */
function waysFold(ways, choose) {
  if (!ways.length) return null;
  const way = ({ name, label, how }) => h("div", { class: "nbauth-way" },
    button(label, "secondary", `way-${name}`, () => choose(name)),
    h("span", { class: "nbauth-faint" }, how));
  return fold(WORDS.otherWays, "ways", ways.map(way));
}

/** The ways with different labels. Of two ways with the same label, the better one is offered. */
function choices(ways, without) {
  const labels = new Set(ways.filter((way) => way.name === without).map((way) => way.label));
  return ways.filter(({ name, label }) => name !== without && !labels.has(label) && labels.add(label));
}

// ── states ────────────────────────────────────────────────────────────────────────────────────

function deviceSteps(state) {
  const enter = state.verification_uri_complete ? WORDS.compareStep : WORDS.enterStep;
  const address = h("span", { class: "nbauth-faint nbauth-address", dir: "ltr" }, state.verification_uri);
  const page = state.verification_uri_complete || state.verification_uri;
  return h("ol", { class: "nbauth-steps" },
    h("li", {}, line(WORDS.code), codeRow(state.user_code)),
    h("li", {}, line(enter), row(link(WORDS.openPage, page), address)));
}

function pasteSteps(state, act) {
  return h("ol", { class: "nbauth-steps" },
    h("li", {}, line(WORDS.pasteOpenStep), row(link(WORDS.openPage, state.authorize_url))),
    h("li", {}, line(WORDS.pasteStep), line(WORDS.pasteHow, "faint"), pasteBox(state, act)));
}

function waiting(state, act, ticks) {
  const left = state.expires_in != null && timeLeft(act, ticks);
  const host = state.asks && hostOf(state.asks.authority);
  const other = choices(state.ways || [], state.flow);
  const folds = [];
  let main;
  if (state.user_code && state.verification_uri) main = deviceSteps(state);
  else if (state.password && !state.entered) main = passwordForm(state, act);
  else if (state.authorize_url && state.paste) main = pasteSteps(state, act);
  else if (state.authorize_url) {
    main = h("div", {}, line(state.message), row(link(WORDS.openBrowser, state.authorize_url)));
    folds.push(fold(WORDS.unreachable, "unreachable", line(WORDS.unreachableHow), pasteBox(state, act)));
  } else {
    main = h("div", { class: "nbauth-row nbauth-start" }, spinner(), line(state.entered ? WORDS.starting : state.message || WORDS.starting));
  }
  folds.push(waysFold(other, act.switch), state.asks && asksFold(state.asks));
  return [
    head(host ? WORDS.signInAt(host) : WORDS.signIn, left),
    state.asks && state.asks.needed_by && neededBy(state.asks.needed_by),
    state.asks && asksLine(state.asks),
    main,
    foot(folds, button(WORDS.cancel, "secondary", "cancel", act.cancel)),
  ];
}

/** The provider's policy refused the chosen way. The next one has a button. */
function refused(state, act, ticks) {
  const [next, ...rest] = choices(state.ways, state.flow);
  const left = state.expires_in != null && timeLeft(act, ticks);
  return [
    head(WORDS.refused, left),
    h("div", {}, ...state.refusal.map((text) => line(text))),
    next && h("div", { class: "nbauth-way" },
      button(next.label, "primary", `next-${next.name}`, () => act.switch(next.name)),
      h("span", { class: "nbauth-faint" }, next.how)),
    foot([waysFold(rest, act.switch)], button(WORDS.cancel, "secondary", "cancel", act.cancel)),
  ];
}

function foot(folds, ...buttons) {
  return h("div", { class: "nbauth-foot" }, h("div", { class: "nbauth-folds" }, folds), ...buttons);
}

function ended(state, act) {
  const kind = state.state;
  const hint = { cancelled: WORDS.cancelledHint, expired: WORDS.expiredHint }[kind];
  const lines = [kind !== "cancelled" && state.error[0], hint || state.error[1]];
  const details = kind === "failed" ? state.error_details : [];
  const other = kind === "expired" ? [] : choices(state.ways || [], null);
  const pairs = details.map(([name, value]) => [WORDS.detail[name] ?? name, value]);
  return [
    head(WORDS[kind]),
    h("div", {}, ...lines.filter(Boolean).map((text) => line(text))),
    row(button(WORDS.again, "primary", "again", () => act.signIn())),
    (other.length > 1 || pairs.length > 0) && foot([
      other.length > 1 && waysFold(other, act.signIn), pairs.length > 0 && fold(WORDS.details, "details", facts(pairs))]),
  ];
}

function done({ account, others, stopped }, act, ticks) {
  const who = account.name || account.username;
  const say = (ms) => (ms > 0 ? WORDS.token(time(ms)) : WORDS.tokenEnded);
  const end = () => act.state().received + act.state().account.expires_in * 1000;
  // The kernel may have refreshed the token: request the state when the time is over.
  const left = account.expires_in != null && countdown(ticks, end, say, act.ready);
  const other = ({ n, username, tenant }) => h("div", { class: "nbauth-way" },
    button([WORDS.use, isolated(username)], "secondary", `use-${n}`, () => act.use(n)),
    h("span", { class: "nbauth-faint" }, isolated(tenant)));
  const details = facts([[WORDS.scopes, account.scopes], [WORDS.tenant, account.tenant]]);
  return [
    h("div", { class: "nbauth-chip" },
      h("span", { class: "nbauth-avatar", "aria-hidden": "true" }, initials(who)),
      h("div", { class: "nbauth-who" },
        h("strong", { class: "nbauth-title" }, WORDS.signedInAs, isolated(who)),
        account.name && h("div", { class: "nbauth-faint" }, isolated(account.username)),
        left),
      button(WORDS.signOut, "secondary", "sign-out", () => act.signOut(account.n))),
    stopped && h("div", { class: "nbauth-note" }, line(WORDS.cellStopped)),
    (details.childElementCount > 0 || others.length > 0) && foot([
      others.length > 0 && fold(WORDS.others, "others", others.map(other)),
      details.childElementCount > 0 && fold(WORDS.account, "account", details)]),
  ];
}

function signedOut(state, act) {
  const [first, ...rest] = choices(state.ways, null);
  return [
    h("div", { class: "nbauth-chip" },
      h("div", { class: "nbauth-who" }, h("strong", { class: "nbauth-title" }, WORDS.signedOut),
        line(first.how, "faint")),
      button(first.label, "primary", "sign-in", () => act.signIn(first.name))),
    rest.length > 0 && foot([waysFold(rest, act.signIn)]),
  ];
}

function draw(state, act, ticks) {
  if (state.state === "waiting") return (state.refusal ? refused : waiting)(state, act, ticks);
  if (state.state === "done") return done(state, act, ticks);
  if (state.state === "signed-out") return signedOut(state, act);
  return ended(state, act);
}

/** Whether no action in the panel is needed. Then the notebook gets the focus. */
const isOver = (state) => state.state !== "waiting";

/** The text for screen readers when the state has changed. */
function announce(state) {
  if (state.state === "done") {
    const who = WORDS.signedInAs + (state.account.name || state.account.username);
    return sentences([who, state.stopped && WORDS.cellStopped]);
  }
  if (state.state === "signed-out") return WORDS.signedOut;
  if (state.refusal) return sentences([WORDS.refused, ...state.refusal]);
  if (state.state !== "waiting") return sentences([WORDS[state.state], ...state.error]);
  if (state.user_code) return WORDS.codeReady;
  if (state.password && !state.entered) {
    return sentences([...(state.refused ?? state.password.refusal ?? []), WORDS.passwordReady]);
  }
  if (!state.authorize_url) return state.message || WORDS.starting;
  return state.paste ? WORDS.pasteReady : WORDS.browserReady;
}
