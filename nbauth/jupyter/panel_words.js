// All that the panel says in English. What the provider and the kernel say comes by message.

const WORDS = {
  panel: "Sign in with nbauth",
  saved: "nbauth sign-in panel (run the cell to use it)", // panel.py: STATIC_LINE
  asleep: "Waiting for the kernel. If it is gone, run the cell again to sign in.",
  gone: "The kernel that this panel belonged to is gone. Run the cell again to sign in.",

  signedOut: "You are not signed in.",
  signIn: "Sign in",
  signInAt: (host) => `Sign in at ${host}`,
  starting: "Asking the provider…",
  otherWays: "Another way to sign in",
  cancel: "Cancel",
  left: (time) => `${time} left`,
  newTab: "(opens a new tab)",

  asksFor: (application) => [application, " asks for "],
  andMore: (number) => `and ${number} more`,
  asks: "What this asks for",
  scopes: "Permissions",
  client: "Application",
  authority: "Authority",

  copyStep: "Copy this code",
  copy: "Copy",
  copied: "Copied",
  copyByHand: "Press Ctrl+C",
  enterStep: "Enter it on the sign-in page",
  compareStep: "Check that the sign-in page shows the same code",
  openPage: "Open sign-in page",
  codeReady: "Your code is ready. Copy it, then open the sign-in page.",

  openBrowser: "Continue in the browser",
  browserReady: "Continue in the browser to sign in.",
  unreachable: "The page could not be reached?",
  unreachableHow: "Copy the whole address of the page on which the browser ended, and paste it here.",

  pasteOpenStep: "Sign in on the provider's page",
  pasteStep: "Copy the address at which the browser ends, and paste it here",
  pasteHow: "That page may say that it cannot be reached. Its address is all that counts.",
  pasteLabel: "Address at which the browser ended",
  pasteSend: "Finish",
  pasted: "Asking the provider…",
  pasteReady: "Open the sign-in page, then paste the address at which the browser ends.",

  refused: "This way is not allowed here",
  failed: "Sign-in failed",
  cancelled: "Sign-in cancelled",
  cancelledHint: "Nothing was changed. You can start again whenever you like.",
  expired: "Sign-in expired",
  expiredHint: "The old code and address no longer work.",
  again: "Try again",
  details: "Details for your administrator",
  detail: { code: "Code", correlation_id: "Correlation id", time: "Time" },

  signedIn: (name) => `Signed in as ${name}`,
  token: (time) => `Token: ${time} left`,
  tokenEnded: "Token expired; the next use renews it",
  tenant: "Tenant",
  granted: "Permissions",
  others: "Switch account",
  use: (username) => `Use ${username}`,
  signOut: "Sign out",
};

/** For each way to sign in: what its button says, and what it means. */
const WAYS = {
  auto: {
    name: "Sign in",
    how: "nbauth picks the way that works best here.",
  },
  browser: {
    name: "Sign in with the browser",
    how: "The provider's page opens in a new tab and comes back by itself.",
  },
  callback: {
    name: "Sign in with the browser",
    how: "The provider's page opens in a new tab and comes back to this Jupyter server.",
  },
  device: {
    name: "Sign in with a code",
    how: "You enter a short code on the provider's page, here or on your phone.",
  },
  paste: {
    name: "Paste the address back",
    how: "You sign in on the provider's page and bring the address it ends at back here.",
  },
};
