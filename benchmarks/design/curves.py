"""The rounds of several designs of one goal in one picture: `python -m benchmarks.design.curves DB OUT.png`."""

import sys
from pathlib import Path

from db.store import ResultStore
from flows.reports.plots import PALETTE, written


def main() -> None:
    """Draws median, 90 % quantile and the share of wanted crystals of every design in the database."""
    from matplotlib.figure import Figure

    database, out = sys.argv[1:3]
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    with ResultStore.open_existing(database) as store:
        designs = sorted(store.designs.overview(), key=lambda row: row["design"])
        for color, design in zip(PALETTE, designs, strict=False):
            rounds = [one for one in store.designs.rounds(design["design"]) if one.quantiles]
            numbers, label = [one.number for one in rounds], f"seed {design['settings']['seed']}"
            left.plot(numbers, [one.quantiles[2] for one in rounds], marker="o", color=color, label=f"{label}, median")
            left.plot(numbers, [one.quantiles[3] for one in rounds], linestyle=":", color=color, label=f"{label}, 90 %")
            for name, style in (("done", "-"), ("wanted", "--")):
                shares = [100 * one.counts[name] / one.counts["n_in"] for one in rounds]
                shown = {"done": "computed", "wanted": "wanted"}[name]
                right.plot(numbers, shares, style, marker="o", color=color, label=f"{label}, {shown}")
        left.set(xlabel="round", ylabel=designs[0]["sort"].removeprefix("-"), title="wanted crystals, predicted")
    right.set(xlabel="round", ylabel="share of the crystals begun, %", ylim=(0, 100), title="where they ended")
    for panel in (left, right):
        panel.legend(fontsize=7, ncols=2)
        panel.xaxis.get_major_locator().set_params(integer=True)
    written(figure, Path(out))


if __name__ == "__main__":
    main()
