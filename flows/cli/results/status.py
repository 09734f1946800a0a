"""Commands about runs: status and rejects."""

from collections import Counter

from flows.cli.options import AsJson, Db, RunNumber
from flows.cli.results.open import open_store
from flows.terminal.console import print_json, say


def status(run: RunNumber = None, *, db: Db = None, json: AsJson = False) -> None:
    """Runs with their balance, rate and remaining time."""
    from flows.reports.tables import balance_table, console, run_lines, runs_table

    with open_store(db) as store:
        runs = store.runs(run)
        balance = store.balance(run) if run is not None and not json else None
    if json:
        print_json({"runs": runs})
    elif balance is not None and run is not None:
        console().print(balance_table(run, balance))
        # A source may be a long text: a pipe gets whole lines, to be searched.
        console().print("\n".join(run_lines(runs[0])), soft_wrap=True)
    elif runs:
        console().print(runs_table(runs))
    else:
        say("no runs yet; start one: gmtscreen screen reference")


def rejects(run: RunNumber = None, *, db: Db = None, json: AsJson = False) -> None:
    """Every input that gave no result, with its reason and what to do."""
    from flows.reports.tables import console, rejects_table
    from models.errors import Reason

    with open_store(db) as store:
        rows = store.rejects(run)
    if json:
        print_json(rows)
        return
    if not rows:
        say("nothing was rejected or quarantined")
        return
    console().print(rejects_table(rows))
    # What to do depends on the reason alone: once per reason, not once per row.
    for text, n in Counter(row["reason"] for row in rows).most_common():
        reason = Reason(text)
        console().print(f"{n:>6} {reason.value}: {reason.sentence} {reason.advice}")
