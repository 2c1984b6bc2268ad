"""The panel answers while a plain ``%login`` blocks: front end × kernel × comms over subshells.

The cells of that table which ``test_sign_in.py`` has are not run again here. Notebook 7.6 offers
the setting but doesn't load the plug-in that obeys it (``apputils-extension:subshell-settings``),
so its comms always go over subshells where the kernel has them.
"""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.browser

LOGIN = """import time
try:
    %login --flow device
finally:
    ended = time.time()
"""
SUBSHELLS = """
thread = getattr(get_ipython().kernel, "shell_channel_thread", None)
print(0 if thread is None else len(thread.manager.list_subshell()))
"""
TABLE = [
    pytest.param("lab", "7.4", "perCommTarget", id="lab-7.4-subshells"),
    pytest.param("lab", "7.3", "disabled", id="lab-7.3-no-subshells"),
    pytest.param("lab", "6.29", "disabled", id="lab-6.29-setting-disabled"),
    pytest.param("notebook", "7.4", "perCommTarget", id="notebook-7.4-subshells"),
    pytest.param("notebook", "7.3", "perCommTarget", id="notebook-7.3-subshells"),
    pytest.param("notebook", "6.29", "perCommTarget", id="notebook-6.29"),
]


@pytest.mark.timing
@pytest.mark.parametrize(("front_end", "kernel", "subshells"), TABLE)
def test_cancel_is_answered_while_the_cell_waits(
    front_end, kernel, subshells, lab_with_provider, open_notebook
):
    lab = lab_with_provider(
        kernel=kernel, comms_over_subshells=subshells, server_extensions=("notebook",)
    )
    cells = ["%load_ext nbauth", LOGIN, "print(ended)", SUBSHELLS]
    page = open_notebook(cells, lab=lab, front_end=front_end)
    page.run(0)
    page.run_cell(1)
    page.wait_cell_running(1)
    cancel = page.output(1).get_by_role("button", name="Cancel")
    cancel.wait_for()
    page.output(1).locator(".nbauth-code").wait_for()
    page.screenshot(f"waiting-{front_end}-{kernel}-{subshells}")
    pressed = time.time()
    cancel.click()
    page.wait_cell_done(1)
    text = page.cell_output_text(1)
    assert "SignInCancelled: The sign-in was cancelled." in text
    assert "Traceback" not in text
    answered = float(page.run(2)) - pressed
    assert answered < 1
    has_subshells = subshells != "disabled" and kernel != "6.29"
    assert (page.run(3) != "0") is has_subshells
    print(f"{front_end} {kernel} {subshells}: Cancel answered after {answered:.2f} s")
