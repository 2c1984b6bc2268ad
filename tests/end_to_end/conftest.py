"""A real JupyterLab whose kernels know the provider; the person clicks in the same browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.harness.jupyter import Lab, LabFactory
from tests.harness.panva import Panva

ROOT = Path(__file__).parents[2]
SCOPE = "https://graph.microsoft.com/User.Read"


def product_environment(panva: Panva) -> dict[str, str]:
    """What an administrator would set: authority, client, CA, and which host may get a token."""
    return {
        "NBAUTH_AUTHORITY": panva.ms_authority,
        "NBAUTH_CLIENT_ID": panva.client_id,
        "NBAUTH_VERIFY": str(panva.ca_file),
        "NBAUTH_HOSTS": json.dumps({urlsplit(panva.ms_api_url).netloc: [SCOPE]}),
        "NBAUTH_DEMO_GRAPH_URL": panva.ms_api_url.removesuffix("/me"),
    }


def notebook_cells(path: Path) -> list[str]:
    """The cells of a notebook as ``open_notebook`` takes them."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    mark = {"markdown": "# %% md\n", "code": ""}
    return [mark[cell["cell_type"]] + "".join(cell["source"]) for cell in cells]


def code_cell(cells: list[str], source: str) -> int:
    """Which cell begins with this source."""
    return next(number for number, cell in enumerate(cells) if cell.startswith(source))


@pytest.fixture
def lab_with_provider(lab_factory: LabFactory, panva: Panva) -> Callable[..., Lab]:
    """``lab_with_provider(**options) -> Lab``: its kernels are configured for panva."""

    def lab(**options: Any) -> Lab:
        return lab_factory(env=product_environment(panva), **options)

    return lab
