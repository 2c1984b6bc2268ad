"""The machine's own Firefox (Debian's ``firefox-esr``), driven by Playwright over WebDriver BiDi.

Playwright's usual Firefox is a build of its own, which is downloaded. The channel ``moz-firefox``
makes it drive a plain Firefox instead; it is experimental. Playwright 1.65 sends the command
``emulation.setMediaFeaturesOverride`` for each new context, which Firefox 153 answers with "unknown
command"; so ``pyproject.toml`` asks for an older one.
"""

from __future__ import annotations

import shutil

from playwright.sync_api import Browser, Playwright

from tests.harness import missing

PREFERENCES = {
    # The provider's pages name a web font: no look-up outside this machine may hold them up.
    "network.dns.forceResolve": "127.0.0.1",
}


def launch_firefox(playwright: Playwright) -> Browser:
    """Start it, headless, with a profile of its own that is deleted at its end."""
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        missing("firefox-esr (make setup installs it)")
    return playwright.firefox.launch(
        channel="moz-firefox",
        executable_path=path,
        headless=True,
        firefox_user_prefs=PREFERENCES,
    )
