"""Bulk and shear modulus of held-out binaries, as the MatPES board measures potentials: errors of ln K and ln G.

The labels are those of that board, the Materials Project's binaries; ours are the ones in the test part of our split,
whose formulas no shipped model saw. A potential has no split: its figures are over all binaries, after relaxation and
strains of its own, and of its training data many are binaries too. So the crystals differ, and what is done with them.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gmt_tasks.evaluation.scoreboard.board import BoardRow, BoardTable, Figure, Origin, Section, missing_row
from gmt_tasks.evaluation.scoreboard.number_scores import Floats, mean_figure
from gmt_tasks.evaluation.scoreboard.own_models import ALL, OwnModel, Wanted, predict_numbers
from gmt_tasks.evaluation.scoreboard.quoted import MATPES_CRYSTALS, MATPES_SOURCE, POTENTIALS
from gmt_tasks.labels.files import Split
from gmt_tasks.labels.kinds import read_accepted_label
from gmt_tasks.labels.label_kind import ReadLabel, RefusedRowError
from models.crystals.crystal import CrystalBatch
from models.errors import SourceError

KIND = "moduli_vrh"
FILE = "moduli.jsonl.gz"
LN_K, LN_G = "MAE of ln K", "MAE of ln G"
K, G = "MAE of K, GPa", "MAE of G, GPa"
COLUMNS = (LN_K, LN_G, K, G)


@dataclass(frozen=True)
class Binaries:
    """Binaries of one part of the split.

    Attributes:
        crystals: n_crystals of them.
        k_gpa, g_gpa: Hill averages in GPa, [n_crystals].
    """

    crystals: CrystalBatch
    k_gpa: Floats
    g_gpa: Floats


def read_binaries(path: Path, split: Split) -> Binaries:
    """Reads the moduli of binaries from a label file.

    Raises:
        SourceError: a row that is no label, or no such labels in the part.
    """
    labels = list(_labels(path, split))
    if not labels:
        raise SourceError(f"{path.name} has no labels of kind {KIND} in its {split.value} part. Give another folder.")
    batch = CrystalBatch.from_arrays(
        [label.lattice for label in labels],
        [label.frac_coords for label in labels],
        [label.numbers for label in labels],
    )
    moduli = np.array([(label.row["K_vrh"], label.row["G_vrh"]) for label in labels], dtype=np.float64)
    return Binaries(batch, *moduli.T)


def _labels(path: Path, split: Split) -> Iterator[ReadLabel]:
    """The labels of the kind and part."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                if row["kind"] == KIND and row["split"] == split.value:
                    yield read_accepted_label(row)
            except (RefusedRowError, LookupError, TypeError, ValueError, RecursionError) as error:
                raise SourceError(f"{path.name} line {number} is no label: {str(error)[:200]}. Correct it.") from error


def binaries_table(folder: Path | None, models: list[OwnModel]) -> BoardTable:
    """Our models on the held-out binaries, beside published figures of potentials on all of them."""
    rows = [
        BoardRow(
            potential.name,
            Origin.QUOTED,
            dict(
                zip(
                    COLUMNS,
                    map(Figure, (potential.ln_k, potential.ln_g, potential.k_gpa, potential.g_gpa)),
                    strict=True,
                )
            ),
            "all binaries",
            MATPES_CRYSTALS,
            "relaxed and strained by the potential",
        )
        for potential in POTENTIALS
    ]
    path = None if folder is None else folder / FILE
    n_split = None
    if path is None or not path.is_file():
        why = f"{FILE} is not in the folder of label files: name it with --data"
        rows.append(missing_row(why))
    else:
        binaries = read_binaries(path, Split.TEST)
        n_split = binaries.crystals.n_crystals
        for model in models:
            rows += our_rows(model, binaries)
    return BoardTable(
        Section.BINARIES,
        "binaries",
        "K and G of binaries (Hill)",
        "1",
        "test part of our split, by reduced formula",
        n_split,
        COLUMNS,
        tuple(rows),
        f"{MATPES_SOURCE}; labels: Materials Project binaries through matcalc (CC BY 4.0)",
        (
            "Crystals and task differ: potentials are measured on all binaries and compute K and G by relaxation and "
            "strains, without any label; our models are trained on such labels and measured on held-out formulas.",
        ),
    ).ordered()


def our_rows(model: OwnModel, binaries: Binaries) -> Iterator[BoardRow]:
    """One model on all the binaries, and on those of formulas that it never saw where these are fewer."""
    numbers = predict_numbers(model, binaries.crystals, (Wanted.K_VRH, Wanted.G_VRH))
    pairs = {(LN_K, K): (Wanted.K_VRH, binaries.k_gpa), (LN_G, G): (Wanted.G_VRH, binaries.g_gpa)}
    # both moduli or none, so that the two figures are of the same crystals
    known = np.ones(binaries.crystals.n_crystals, dtype=bool)
    for name, truth in pairs.values():
        known &= (numbers.values[name] > 0) & (truth > 0)  # False for NaN
    for subset, chosen in numbers.subsets():
        if subset == ALL and numbers.unseen.all():
            continue
        scored = chosen & known
        figures = {}
        for (of_logarithm, head), (name, truth) in pairs.items():
            predicted, labelled = numbers.values[name][scored], truth[scored]
            figures[of_logarithm] = mean_figure(np.abs(np.log(predicted / labelled)))
            figures[head] = mean_figure(np.abs(predicted - labelled))
        note = f"{int((chosen & ~known).sum()):,} of {int(chosen.sum()):,} without a number (refused or unstable)"
        yield model.row(figures, subset, int(scored.sum()), note)
