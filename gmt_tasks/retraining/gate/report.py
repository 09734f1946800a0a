"""The gate's report: findings one by one, the measures that were compared, and the decision with its reasons."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from gmt_tasks.retraining.gate.paired_comparison import Comparison, MeasureOutcome


class Check(StrEnum):
    """What the gate looks at."""

    DATA = "data"
    REFERENCE = "reference set"
    TEST = "test"
    SPEED = "speed"


@dataclass(frozen=True)
class Finding:
    """One thing that must hold whatever the current model does.

    Attributes:
        check: where it belongs.
        subject: what was looked at, in a few words.
        holds: whether it is as it must be.
        detail: the numbers, and which crystals.
    """

    check: Check
    subject: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class GateReport:
    """Everything that decides whether a candidate becomes the current model.

    Attributes:
        candidate, current: name@version; `current` is empty for the first model of a name.
        snapshot: hash of the dataset snapshot.
        n_crystals: labelled test crystals that the candidate predicts.
        findings: what must hold absolutely.
        comparisons: measures of both models; empty without a current model.
        alpha: chance that a candidate as good as the current model is refused by the comparisons together.
    """

    candidate: str
    current: str
    snapshot: str
    n_crystals: int
    findings: list[Finding]
    comparisons: list[Comparison]
    alpha: float

    @property
    def reasons(self) -> list[str]:
        """One sentence per reason to refuse, empty when there is none."""
        broken = [finding for finding in self.findings if not finding.holds]
        worse = [comparison for comparison in self.comparisons if comparison.outcome is MeasureOutcome.WORSE]
        sentences = [f"{finding.check.value}: {finding.subject}: {finding.detail}" for finding in broken]
        return sentences + [sentence(comparison) for comparison in worse]

    @property
    def passes(self) -> bool:
        """True when there is no reason to refuse the candidate."""
        return not self.reasons

    @property
    def summary(self) -> str:
        """One line: the decision with what is better, or the first reasons."""
        if self.passes:
            better = [c.name for c in self.comparisons if c.outcome is MeasureOutcome.BETTER and c.group == "all"]
            what = f"{len(better)} better ({', '.join(better[:3])})" if better else "none better beyond chance"
            return f"passed: {len(self.comparisons)} measures compared, {what}, none worse"
        n = len(self.reasons)
        return f"refused for {n} reason{'s' if n != 1 else ''}: " + "; ".join(self.reasons[:3])

    def to_json(self) -> dict[str, Any]:
        """Plain data with the decision."""
        # `verdict` is what files and databases of every version call the outcome of a comparison.
        comparisons = [asdict(comparison) for comparison in self.comparisons]
        for comparison in comparisons:
            comparison["verdict"] = comparison.pop("outcome")
        return asdict(self) | {"comparisons": comparisons, "passes": self.passes, "reasons": self.reasons}

    def to_markdown(self) -> str:
        """A page for people: decision, reasons, findings, comparisons."""
        decision = "promote" if self.passes else "refuse"
        against = f" against {self.current}" if self.current else ", the first of its name"
        lines = [
            f"# Gate: {decision} {self.candidate}",
            f"{self.candidate}{against}; dataset {self.snapshot[:12]}, {self.n_crystals} labelled test crystals.",
            f"A candidate as good as the current model would be refused by the {len(self.comparisons)} comparisons "
            f"together with a chance of at most {100 * self.alpha:g} %.",
            *(["## Reasons", "\n".join(f"- {reason}" for reason in self.reasons)] if self.reasons else []),
            "## What must hold",
            table_of(
                ("check", "what", "holds", "found"),
                [(f.check.value, f.subject, "yes" if f.holds else "**no**", f.detail) for f in self.findings],
            ),
        ]
        if self.comparisons:
            heads = ("measure", "crystals of", "n", "current", "candidate", "± of the change", "outcome")
            rows: list[tuple[str, ...]] = []
            for c in self.comparisons:
                numbers = str(c.n), f"{c.current:.4g}", f"{c.candidate:.4g}", f"{c.error:.2g}"
                # What became worse stands out.
                outcome = f"**{c.outcome.value}**" if c.outcome is MeasureOutcome.WORSE else c.outcome.value
                rows.append((c.name, c.group, *numbers, outcome))
            lines += ["## Measures, the smaller the better", table_of(heads, rows)]
        return "\n\n".join(lines) + "\n"


def sentence(comparison: Comparison) -> str:
    """What became worse, by how much, and how unlikely that is by chance."""
    c = comparison
    return (
        f"test: {c.name} ({c.group}, {c.n} crystals) grew from {c.current:.4g} to {c.candidate:.4g}; chance explains "
        f"± {c.error:.2g}, a growth of {c.margin:.2g} would not matter"
    )


def table_of(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = []
    for row in (heads, ("---",) * len(heads), *rows):
        cells = [cell.replace("|", r"\|") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
