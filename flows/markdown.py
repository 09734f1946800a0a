"""A run's balance as Markdown, for Prefect's artifacts."""

from db.records import Balance

MEANINGS: dict[str, str] = {
    "done": "have results",
    "duplicate": "same crystal as an earlier input",
    "rejected": "not readable, not sensible, or outside what the model knows",
    "quarantined": "a crystal whose calculation failed",
    "pending": "still to compute",
}
"""Where an input can end, in the order in which it is shown."""


def balance_as_markdown(run: int, balance: Balance) -> str:
    """A table of the balance.

    Args:
        run: number of the run.
        balance: where every input ended.

    Returns:
        Markdown text; says in words whether the balance closes.
    """
    rows = [f"| {name} | {getattr(balance, name):,} | {meaning} |" for name, meaning in MEANINGS.items()]
    verdict = "Every input is accounted for." if balance.closed else "**Inputs are missing: the run is not finished.**"
    head = [f"### Run {run}", "", "| | crystals | |", "|---|---:|---|", f"| **in** | **{balance.n_in:,}** | |"]
    return "\n".join([*head, *rows, "", verdict])
