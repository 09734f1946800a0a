"""Made-up extensions as edits of a copy of the program: what docs/extending.md says that each of them takes."""

import shutil
from pathlib import Path

from tests.architecture.source_tree import PACKAGES, ROOT

Edit = tuple[str, str]
"""A line of a file, and what is inserted behind it."""

LABEL_ROW: dict[str, list[Edit]] = {
    "gmt_tasks/labels/kinds.py": [
        (
            "_ROWS = (\n",
            """    LabelKind(
        "thermal_expansion",
        units=("1e-6/K",),
        file="thermal",
        values=(
            TensorValue(
                "tensor",
                Tensor.THERMAL_EXPANSION,
                sizes=lambda expansion: {"alpha_mean": float(np.trace(expansion) / 3)},
            ),
        ),
        sizes=(Size("alpha_mean", 0.3, 0.5),),
        primary=True,
    ),
""",
        )
    ],
}
"""The row of a new kind of labels."""

EDITS: dict[str, dict[str, list[Edit]]] = {
    "A tensor": {
        "models/quantities.py": [
            ('    ELASTIC = "elastic_voigt"\n', '    THERMAL_EXPANSION = "thermal_expansion"\n'),
            (
                "TENSORS: dict[Tensor, TensorQuantity] = {\n",
                """    Tensor.THERMAL_EXPANSION: TensorQuantity(
        symbol="α",
        label="thermal expansion",
        index_symmetry=IndexSymmetry.SYMMETRIC,
        unit="1e-6/K",
        error_column="thermal_expansion_error",
        absolute_below=1.0,
        negligible_norm=0.1,
        label_rounding=0.1,
        max_label_entry=1e3,
        max_training_entry=500.0,
        max_predicted_entry=500.0,
        loss_weight=5.0,
        label_kind="thermal_expansion",
        calculation=Calculation.STRAINED_CELLS,
        group="thermal",
        marker="v",
        color="#56B4E9",
    ),
""",
            ),
        ],
        **LABEL_ROW,
    },
    "A derived number": {
        "models/quantities.py": [
            (
                "DERIVED: dict[str, DerivedQuantity] = {\n",
                '    "ionic_share": DerivedQuantity("1", "ionic share of the dielectric constant", (*_INF, *_TOT)),\n',
            )
        ],
        "models/derived/dielectric.py": [
            (
                "    columns: Columns = {\n",
                '        "ionic_share": 1 - electronic.mean(axis=1) / total.mean(axis=1),\n',
            )
        ],
    },
    "A source": {
        "gmt_tasks/sources/open.py": [
            ("GENERATED = {\n", '    "textbook": "gmt_tasks.sources.generated.textbook:TextbookSource.from_text",\n')
        ],
    },
    "A backbone": {
        "models/gmtnet/config.py": [
            ("class ProductKind(StrEnum):\n", '    FEWER = "fewer"\n'),
            (
                "CONFIGS: dict[str, GMTNetConfig] = {\n",
                '    "gmtnet-fewer": replace(GMTNET, product=ProductKind.FEWER),\n',
            ),
        ],
    },
    "A command": {
        "flows/cli/app.py": [
            ("COMMANDS = (\n", '    (app, "greet", greet.greet, "gmtscreen greet"),\n'),
            ("import typer\n", "\nfrom flows.cli import greet\n"),
        ],
    },
}
"""Per section of the document and file: the edits."""

NEW_FILES: dict[str, dict[str, str]] = {
    "A source": {
        "gmt_tasks/sources/generated/textbook.py": '''"""Crystals of a textbook."""

from collections.abc import Iterator

import numpy as np

from gmt_tasks.sources.source import SourceBlock
from models.reference.crystals import textbook_crystals


class TextbookSource:
    """All of them, in one block."""

    name = "textbook"

    @classmethod
    def from_text(cls, text: str) -> "TextbookSource":
        """The source; nothing can be chosen."""
        return cls()

    def fingerprint(self) -> str:
        """They never change."""
        return "1"

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """The one block."""
        known = textbook_crystals()
        n = known.crystals.n_crystals
        if start == 0:
            yield SourceBlock(0, n, np.arange(n), list(known.names), known.crystals, [None] * n)
''',
    },
    "A command": {
        "flows/cli/greet.py": '''"""A command."""


def greet() -> None:
    """Says hello."""
    print("hello")
''',
    },
    "A backbone": {
        "models/gmtnet/backbones/fewer.py": '''"""A backbone whose tensors are multiplied in one channel."""

from dataclasses import replace

from models.gmtnet.backbones.sparse import CoupledConvolutions
from models.gmtnet.config import GMTNetConfig


class FewerProducts(CoupledConvolutions):
    """The default backbone, narrower in one place."""

    def __init__(self, config: GMTNetConfig) -> None:
        super().__init__(replace(config, coupling_channels=1))


BACKBONE = FewerProducts
''',
    },
    "A network of another kind": {
        "models/constant/__init__.py": '"""A made-up model."""\n',
        "models/constant/model.py": '''"""A tensor model that has read nothing."""

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats
from models.quantities import TENSORS, Tensor
from models.tensors.irreps import irreps_to_tensor


class ConstantModel:
    """See `models.tensor_model.TensorModel`."""

    elements = frozenset(range(1, 119))

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        """Isotropic tensors, [1, n_crystals, ...]."""
        tensors = {}
        for quantity, row in TENSORS.items():
            irreps = np.zeros((1, crystals.n_crystals, row.n_components))
            irreps[..., : row.n_scalars] = 100.0
            tensors[quantity] = irreps_to_tensor(quantity, irreps)
        return tensors
''',
    },
}
"""Per section of the document: files that are new."""


def extended_copy(folder: Path) -> Path:
    """A copy of the program without weights, with every extension made in it.

    Raises:
        ValueError: an edit no longer fits its file.
    """
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.safetensors"))
    for edits in EDITS.values():
        for name, insertions in edits.items():
            path = folder / name
            text = path.read_text(encoding="utf-8")
            for line, inserted in insertions:
                if text.count(line) != 1:
                    raise ValueError(f"{name} holds {text.count(line)} lines {line!r}, expected one")
                text = text.replace(line, line + inserted)
            path.write_text(text, encoding="utf-8")
    for files in NEW_FILES.values():
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    return folder
