"""docs/active-learning.md: how the next calculations are chosen, and how many labels that saves."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.plot_search import plot_search
from benchmarks.search_curves import (
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
from flows.reports.markdown import figures, markdown_table, render

WANTED = 3.0
"""How many times fewer labels than by chance the rule is to need."""


def active_learning_document(curves: Sequence[SearchCurve], model: str, picture: str) -> str:
    """The whole document as Markdown.

    Args:
        curves: of val and test, all rules of each property.
        model: NAME@VERSION.
        picture: path of the figure of test, relative to the document.
    """
    test, val = ([curve for curve in curves if curve.split == split] for split in ("test", "val"))
    return render(
        "active-learning.md",
        folder=Path(__file__).parent,
        model=model,
        picture=picture,
        top_percent=f"{100 * TOP_SHARE:.0f}",
        random_seeds=RANDOM_SEEDS,
        test_table=search_table(test),
        test_conclusion=conclusion(test),
        val_table=search_table(val),
        val_conclusion=conclusion(val),
    )


def by_property(curves: Sequence[SearchCurve]) -> dict[str, list[SearchCurve]]:
    """The curves of each property, in order."""
    names = dict.fromkeys(curve.quantity for curve in curves)
    return {name: [curve for curve in curves if curve.quantity == name] for name in names}


def search_table(curves: Sequence[SearchCurve]) -> str:
    """Labels until half and 80 % of the best are found, by rule, and the ratio of chance to our rule."""
    rules = (OURS, PREDICTION, UNCERTAINTY, RANDOM)
    head = ["property", "best of pool", *rules, "chance / suggest, 50 %", "80 %"]
    rows = []
    for name, mine in by_property(curves).items():
        needed = {curve.rule: " / ".join(f"{curve.needed[share]:.0f}" for share in SHARES_FOUND) for curve in mine}
        ratios = [figures(advantage(mine, OURS, share)) for share in SHARES_FOUND]
        rows.append([f"`{name}`", f"{mine[0].n_top} of {mine[0].n_pool}", *(needed[rule] for rule in rules), *ratios])
    return markdown_table(head, rows) + "\n\nCells: labels until 50 % / 80 % of the best are found."


def conclusion(curves: Sequence[SearchCurve]) -> str:
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
