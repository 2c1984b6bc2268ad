"""Hostile fragments of ``success_page`` and ``error_page`` in a real browser.

They are loaded without the Content-Security-Policy of the reply, so that only the cleaning counts.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext

from nbauth.core.own_pages import filled
from nbauth.core.pages import page

RUN = "window.ran=1"
MARK = "visible-text"
FRAGMENTS = [
    f"<script>{RUN}</script>",
    f"<SCRIPT/x>{RUN}</SCRIPT >",
    f"<scr<script>ipt>{RUN}</script>",
    f"<b><script>{RUN}",
    f"<script><!--<script>{RUN}</script>--></script>{MARK}",
    f'<p onclick="{RUN}" onmouseover={RUN} autofocus tabindex=0 onfocus={RUN}>x',
    f"<img src=x onerror={RUN}>",
    "<img src=http://127.0.0.1:9/x>",
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><style><img src=x onerror={RUN}></style></svg>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}></style></mglyph></table></math>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'></noscript>",
    f"<title><img src=x onerror={RUN}></title>",
    f"<textarea><img src=x onerror={RUN}></textarea>",
    f"<template><script>{RUN}</script></template>",
    f"<xmp><img src=x onerror={RUN}></xmp>",
    f"<iframe srcdoc='<script>parent.{RUN[7:]}</script>'></iframe>",
    f"<plaintext><b>{RUN}",
    f"<iframe src=javascript:{RUN}></iframe>",
    f"<object data=javascript:{RUN}></object>",
    f'<a href="javascript:{RUN}">x</a>',
    f'<a href=" &#1;javascript:{RUN}">x</a>',
    f'<a href="data:text/html,<script>{RUN}</script>">x</a>',
    f"<a href=java&#10;script:{RUN}>x</a>",
    f"<a href='https://h.example/\"onclick={RUN}//'>x</a>",
    f"<a href=https://h.example\\@x onclick={RUN}>",
    f'<meta http-equiv="refresh" content="0;url=javascript:{RUN}">',
    "<base href=http://127.0.0.1:9/>",
    '<link rel=stylesheet href="http://127.0.0.1:9/x.css">',
    "<style>*{background:url(http://127.0.0.1:9/)}",
    "<p style=\"background:url('http://127.0.0.1:9/')\">x",
    f"<form action=javascript:{RUN}><input autofocus",
    f"<!--><img src=x onerror={RUN}>-->",
    f"<!-- --!><img src=x onerror={RUN}>",
    f"<![CDATA[<img src=x onerror={RUN}>]]>",
    f"<?x ><img src=x onerror={RUN}?>",
    f"</main></html><script>{RUN}</script>",
    f"<body onload={RUN}>",
    f"<details open ontoggle={RUN}>",
    f"<video><source onerror={RUN}></video>",
    f"<b\0><img\0 src=x onerror={RUN}>",
    "<div>" * 3000 + MARK,
    "<p>$error</p>",
    "<a href='https://h.example/$error'>x</a>",
    "<$error>",
    "<b $error=1>x</b>",
]
ERRORS = [f"<img src=x onerror={RUN}>", f"script>{RUN}</script", f"' onclick={RUN} '", 'a"><b>']


@pytest.mark.browser
def test_nothing_runs_and_nothing_is_requested(browser_context: BrowserContext) -> None:
    shown = browser_context.new_page()
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    for fragment in FRAGMENTS:
        for error in ERRORS if "$" in fragment else [""]:
            own = filled(fragment, {"error": error})
            html = page("Done", "Go back.", fragment=own).decode()
            shown.set_content(html, wait_until="load")
            for event in ("click", "mouseover", "focus"):
                shown.evaluate(
                    "name => document.querySelectorAll('main *').forEach(one =>"
                    " one.dispatchEvent(new Event(name, {bubbles: true, cancelable: true})))",
                    event,
                )
            assert shown.evaluate("window.ran") is None, own
            kept = "main [style], main [src], main script, main style, main [onclick], main form"
            assert shown.locator(kept).count() == 0, own
            links = shown.eval_on_selector_all("main a", "all => all.map(one => one.protocol)")
            assert set(links) <= {"https:"}, own
    assert asked == []
