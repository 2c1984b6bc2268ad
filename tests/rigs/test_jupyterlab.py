"""The harness can do what the end-to-end tests need, in each kernel of the matrix."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser

from tests.harness.jupyter import LabFactory, OpenLabs, OpenNotebook
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

#: Lets the request wait with which JupyterLab opens the notebook of the page's address.
SLOW_LAST_STEP = """{
  const real = window.fetch;
  window.fetch = async (request, ...more) => {
    if (/contents\\/.*content=0/.test(request.url || request)) {
      await new Promise(go => setTimeout(go, 500));
      window.wasSlow = true;
    }
    return real(request, ...more);
  };
}"""


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
    if version == KERNEL_VERSIONS[-1]:  # to open it again is the same with each
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

    labs = OpenLabs()
    labs.give_back(lab, lab.settings, page)
    lab.offer()
    assert labs.take(lab) is page, "it obeys the settings that are offered now"
    lab.write_notebook("other.ipynb", [WIDGET])
    page.open_beside("other.ipynb")
    page.run(0)
    page.save()
    assert "widgets" not in lab.read_notebook("other.ipynb")["metadata"]
    assert page._js("app.serviceManager.kernels.commsOverSubshells") == "perCommTarget"
    labs.give_back(lab, lab.settings, page)
    lab.offer(settings={"@jupyterlab/notebook-extension:tracker": {"windowingMode": "full"}})
    assert labs.take(lab) is None, "this setting holds from the next load on"


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


def test_a_page_is_loaded_when_jupyterlab_has_opened_the_notebook_of_its_address(
    open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    """What is closed before that comes back: over the notebook of the test that has the page then.

    The page is not given to another test either.
    """
    lab = lab_factory(kernel="7.4")
    page = open_notebook(["print('first')"], lab=lab, own_page=True)
    layouts = lab.home / "lab-workspaces"
    page._wait(
        lambda: any(page.path in file.read_text("utf-8") for file in layouts.glob("*")),
        "the layout is not saved",
        10,
        0,
    )
    page.page.add_init_script(SLOW_LAST_STEP)
    page.reload()
    assert page._js("window.wasSlow")
    page.page.evaluate(
        "[...window.jupyterapp.shell.widgets('main')].forEach(widget => widget.dispose())"
    )
    page._wait_js("!document.querySelector('.jp-mod-restoring')", 20)
    page.page.wait_for_timeout(500)
    assert not page._js("Boolean(panel)"), "the notebook came back"

    OpenLabs().give_back(lab, "of this test", page)
    assert page.page.is_closed()


STORE = """new Promise((done) => {
  localStorage.setItem('theirs', '1');
  document.cookie = 'theirs=1; path=/';
  indexedDB.open('theirs').onsuccess = ({ target }) => { target.result.close(); done(null); };
})"""
STORED = """async () => [
  localStorage.getItem('theirs'),
  document.cookie.includes('theirs'),
  (await indexedDB.databases()).some(({ name }) => name === 'theirs'),
]"""


def test_a_profile_that_is_used_again_is_empty(
    open_notebook: OpenNotebook, lab_factory: LabFactory, browser: Browser
) -> None:
    lab, labs = lab_factory(kernel="7.4"), OpenLabs()
    page = open_notebook(["print('first')"], lab=lab, own_page=True)
    page.page.evaluate(STORE)
    assert page.page.evaluate(STORED) == ["1", True, True]
    labs.give_back_profile(lab, page)
    with labs.profile(lab, browser) as context:
        assert context is page.page.context
        again = context.new_page()
        again.goto(f"{lab.url}/login")
        assert again.evaluate(STORED) == [None, False, False]


def test_another_notebook_in_front_is_not_taken_for_the_tests_own(
    open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(kernel="7.4")
    page = open_notebook(["print('mine')"], lab=lab, own_page=True)
    page.run(0)
    lab.write_notebook("other.ipynb", ["print('not mine')"])
    page._js("app.commands.execute('docmanager:open', {path: 'other.ipynb'}).then(() => null)")
    page._wait_js("app.shell.currentWidget !== panel", 10)
    assert page.cells.count() == 1
    assert not page.cell(0).is_visible()
    page.timeout = 1
    with pytest.raises(AssertionError, match=r"'inFront': 'other\.ipynb'"):
        page.save()
