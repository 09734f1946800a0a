"""docs/active-learning.md: how the next calculations are chosen, and how many labels that saves."""

from collections.abc import Sequence
from pathlib import Path

from flows.reports.markdown import figures, markdown_table
from flows.reports.plot_suggest import plot_search
from gmt_tasks.active_learning.simulation import (
    OURS,
    PREDICTION,
    RANDOM,
    RANDOM_SEEDS,
    SHARES_FOUND,
    TOP_SHARE,
    UNCERTAINTY,
    SearchCurve,
    advantage,
)

WANTED = 3.0
"""How many times fewer labels than by chance the rule is to need."""

_HOW = """`gmtscreen suggest --property NAME --db DB` writes the next DFT jobs. A crystal's score is the product of

- **promise**, the probability to be among the best: prediction and 90 % interval on the scale of the property as a
  normal distribution, against the prediction that as many crystals exceed as `--best` says (twice `--n` by default);
- **uncertainty**, 1 plus the crystal's place (0 to 1) in the order of interval widths and of the distance to the
  training data: of two equally promising crystals the one that teaches more comes first;
- **diversity**: jobs are chosen one after the other, and each takes up to half of the score of crystals like it.

Crystals far from the training data are left out unless `--ood allow` or `--ood only` says otherwise: their intervals
promise nothing. Labelled crystals are left out, and those of earlier folders named by `--leave-out`. Each job is a
folder with a POSCAR in the database's cell and a label row with gaps; where atomate2 is installed a script builds its
flows (`ElasticMaker` for the stiffness, `DielectricMaker` after a tight relaxation for the other tensors) and brings
the answers back as label rows. A label row carries the content id of its crystal, so that it is linked although the
calculation relaxed the cell."""

_TRIED = """Tried on val and not taken: the expected improvement (needs 49 instead of 37 labels for 80 % of the best
`eps_total_mean`, no better elsewhere); a Gaussian process over the descriptors that learns the model's residuals
between rounds (saves 3 of 30 labels for `e_max_c_per_m2`, nothing for moduli and `eps_electronic_mean`); a stronger
penalty for likeness (0.9: one to four labels later). Not measured: how much a network that is trained again on chosen
labels gains over one that is trained on as many random ones."""


def active_learning_document(curves: Sequence[SearchCurve], model: str, picture: str) -> str:
    """The whole document as Markdown.

    Args:
        curves: of val and test, all rules of each property.
        model: NAME@VERSION.
        picture: path of the figure of test, relative to the document.
    """
    pool = (
        f"The pool is the held-out part of the label files, predicted by {model}, which was trained on train alone. "
        f"The best are the {100 * TOP_SHARE:.0f} % with the largest labels. Jobs are asked for 10 at a time (5 in "
        f"pools of fewer than 150). Random: exact expectation in the table, {RANDOM_SEEDS} seeds in the figure. The "
        "rule and its numbers were settled on val; test was looked at once."
    )
    lines = ["# Which crystals to calculate next", "", _HOW, "", "## Labels until the best are found", "", pool, ""]
    for split in ("test", "val"):
        mine = [curve for curve in curves if curve.split == split]
        lines += [f"### {split.capitalize()}", "", *search_table(mine), "", verdict(mine), ""]
        if split == "test":
            lines += [f"![Share of the best found against labels spent, test.]({picture})", ""]
    again = "`python -m benchmarks.active_learning --data FOLDER --write docs` makes this file; do not edit it by hand."
    return "\n".join([*lines, _TRIED, "", again, ""])


def by_property(curves: Sequence[SearchCurve]) -> dict[str, list[SearchCurve]]:
    """The curves of each property, in order."""
    names = dict.fromkeys(curve.quantity for curve in curves)
    return {name: [curve for curve in curves if curve.quantity == name] for name in names}


def search_table(curves: Sequence[SearchCurve]) -> list[str]:
    """Labels until half and 80 % of the best are found, by rule, and the ratio of chance to our rule."""
    rules = (OURS, PREDICTION, UNCERTAINTY, RANDOM)
    head = ["property", "best of pool", *rules, "chance / suggest, 50 %", "80 %"]
    rows = []
    for name, mine in by_property(curves).items():
        needed = {curve.rule: " / ".join(f"{curve.needed[share]:.0f}" for share in SHARES_FOUND) for curve in mine}
        ratios = [figures(advantage(mine, OURS, share)) for share in SHARES_FOUND]
        rows.append([f"`{name}`", f"{mine[0].n_top} of {mine[0].n_pool}", *(needed[rule] for rule in rules), *ratios])
    return [*markdown_table(head, rows), "", "Cells: labels until 50 % / 80 % of the best are found."]


def verdict(curves: Sequence[SearchCurve]) -> str:
    """Where the rule needs at least three times fewer labels than chance, and where not."""
    short = [
        f"`{name}` ({100 * share:.0f} %: {figures(advantage(mine, OURS, share))})"
        for name, mine in by_property(curves).items()
        for share in SHARES_FOUND
        if advantage(mine, OURS, share) < WANTED
    ]
    if not short:
        return f"At least {WANTED:.0f} times fewer labels than by chance everywhere."
    return f"At least {WANTED:.0f} times fewer labels than by chance, but for {', '.join(short)}."


def write_active_learning(curves: Sequence[SearchCurve], model: str, folder: Path) -> list[Path]:
    """Writes the document and its figure; returns both files."""
    picture = plot_search([each for each in curves if each.split == "test"], folder / "figures" / "active-learning.png")
    text = active_learning_document(curves, model, f"figures/{picture.name}")
    document = folder / "active-learning.md"
    document.write_text(text, encoding="utf-8")
    return [document, picture]
