"""The progress bar in real kernels: as a widget, stopped, and as text without ipywidgets."""

from __future__ import annotations

from tests.harness.kernels import Kernel

READ = """
import sys, threading
from nbauth.msgraph.progress import Progress
def read(stop=False):
    ticks = iter(range(9))
    with Progress(400, clock=lambda: next(ticks)) as shown:
        shown.update(100)
        shown.update(100)
        if stop:
            raise KeyboardInterrupt
before = set(threading.enumerate())
"""
BARS = """
from ipywidgets.widgets import widget
[type(one) for one in widget._instances.values() if "Tqdm" in type(one).__name__]
"""
WITHOUT_WIDGETS = """
for name in [name for name in sys.modules if name.split(".")[0] == "tqdm"]:
    del sys.modules[name]
sys.modules["ipywidgets"] = None
read()
"""


def test_the_bar_is_a_widget_that_is_removed_or_text(kernel: Kernel) -> None:
    assert kernel.run(READ).status == "ok"
    read = kernel.run("read()")
    assert read.error == ""
    assert [data for data in read.data if "application/vnd.jupyter.widget-view+json" in data]
    assert read.text.strip() == ""
    assert kernel.run(BARS).result == "[]"
    assert kernel.run("read(stop=True)").error.startswith("KeyboardInterrupt")
    text = kernel.run(WITHOUT_WIDGETS)
    assert text.error == ""
    assert "100/400" in text.text
    assert "Warning" not in text.text
    assert kernel.run("set(threading.enumerate()) - before").result == "set()"
