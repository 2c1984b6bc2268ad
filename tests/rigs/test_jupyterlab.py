"""The harness can do what the end-to-end tests need, in each kernel of the matrix."""

from __future__ import annotations

import json

import pytest

from tests.harness.jupyter import LabFactory, OpenNotebook
from tests.harness.kernels import KERNEL_VERSIONS

pytestmark = pytest.mark.browser

WIDGET = """
import anywidget, ipykernel, traitlets

class Counter(anywidget.AnyWidget):
    _esm = '''
    function render({ model, el }) {
      const button = document.createElement("button");
      button.textContent = "Count";
      button.onclick = () => model.send({ clicked: true });
      const shown = document.createElement("span");
      const show = () => { shown.textContent = "clicked " + model.get("clicks"); };
      model.on("change:clicks", show);
      show();
      el.append(button, shown);
    }
    export default { render };
    '''
    clicks = traitlets.Int().tag(sync=True)

counter = Counter()
counter.on_msg(lambda widget, content, buffers: setattr(widget, "clicks", widget.clicks + 1))
print("ipykernel", ipykernel.__version__)
counter
"""
BLOCK = """
import time
print("blocking")
time.sleep(60)
"""

SLOW_CHECKPOINTS = """(contents => {
  const create = contents.createCheckpoint.bind(contents);
  const wait = () => new Promise(go => setTimeout(go, 1500));
  contents.createCheckpoint = path => wait().then(() => create(path));
})(app.serviceManager.contents)"""


@pytest.mark.parametrize("version", KERNEL_VERSIONS)
def test_the_harness(version: str, open_notebook: OpenNotebook, lab_factory: LabFactory) -> None:
    lab = lab_factory(kernel=version)
    page = open_notebook([WIDGET, BLOCK, "counter.clicks"], lab=lab)
    assert f"ipykernel {version}." in page.run(0)

    page.click_in_output(0, "Count")
    page.wait_output(0, "clicked 1")
    page.screenshot(f"harness-{version}")

    page.run_cell(1)
    page.wait_output(1, "blocking")
    assert page.cell_prompt(1) == "*"
    assert page.kernel_status() == "busy"
    page.run_cell(0)  # queued, and aborted when the cell before it fails
    page.interrupt()
    assert "KeyboardInterrupt" in page.wait_output(1, "KeyboardInterrupt", timeout=5)
    page.wait_cell_done(1)
    assert page.run(2) == "1"

    page.save()
    saved = lab.read_notebook(page.path)
    assert "KeyboardInterrupt" in json.dumps(saved["cells"][1]["outputs"])
    assert "widgets" not in saved["metadata"]
    page.restart_kernel()
    page.open(page.path)
    assert "KeyboardInterrupt" in page.cell_output_text(1)
    assert "NameError" in page.run(2)


def test_settings_reach_lab_and_kernel(
    open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(
        comms_over_subshells="disabled",
        save_widget_state=True,
        base_url="/user/ada/",
        env={"NBAUTH_TEST": "in the kernel"},
        server_env={"NBAUTH_SERVER_TEST": "in both"},
    )
    page = open_notebook([WIDGET, "import os; os.environ['NBAUTH_TEST']"], lab=lab)
    page.run_all()
    assert "in the kernel" in page.cell_output_text(1)
    assert page.url.endswith("/user/ada")
    page.save()
    assert "clicks" in json.dumps(lab.read_notebook(page.path)["metadata"]["widgets"])
    plugin = "@jupyterlab/apputils-extension:kernels-settings"
    assert '"disabled"' in lab.api(f"lab/api/settings/{plugin}")["raw"]


def test_a_save_right_after_another_is_one(
    open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    """JupyterLab ignores its save button until the checkpoint of the last save is made."""
    lab = lab_factory(kernel="7.4")
    page = open_notebook(["print('once')", "print('twice')"], lab=lab, own_page=True)
    page._js(SLOW_CHECKPOINTS)
    for index in (0, 1):
        page.run(index)
        page.save()
        assert lab.read_notebook(page.path)["cells"][index]["outputs"]
