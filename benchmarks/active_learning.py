"""How many labels `gmtscreen suggest` saves: the search for the best crystals of the held-out label files.

`python -m benchmarks.active_learning --data ../shared/data --write docs` makes docs/active-learning.md and its figure;
without --write it prints the tables. It predicts val and test once, about five minutes on one core.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.search_curves import SearchCurve, pools, search_curves
from benchmarks.search_document import conclusion, search_table, write_active_learning
from flows.cli.models import DEFAULT_DATA
from gmt_tasks.labels.files import Split, read_labels
from gmt_tasks.screening.screener import Screener


def main() -> None:
    """Measures val and test and prints or writes the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--model", default="gmtnet")
    parser.add_argument("--write", type=Path, default=None)
    asked = parser.parse_args()
    labels, screener = read_labels(asked.data), Screener.load(asked.model)
    curves: list[SearchCurve] = []
    for split in (Split.VAL, Split.TEST):
        curves += [curve for pool in pools(labels, screener, split) for curve in search_curves(pool)]
        mine = [curve for curve in curves if curve.split == split.value]
        sys.stdout.write("\n".join([split.value, search_table(mine), conclusion(mine), ""]) + "\n")
        sys.stdout.flush()
    if asked.write is not None:
        for path in write_active_learning(curves, str(screener.model_version), asked.write):
            sys.stdout.write(f"written: {path}\n")


if __name__ == "__main__":
    main()
