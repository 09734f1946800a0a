"""What the gate says: findings one by one, the measures that were compared, and the verdict with its reasons."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from gmt_tasks.retraining.gate.paired_comparison import Comparison, Verdict


class Check(StrEnum):
    """What the gate looks at."""

    DATA = "data"
    CANARY = "canary"
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
        n_crystals: labelled test crystals that both models answered.
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
        broken = [f"{each.check.value}: {each.subject}: {each.detail}" for each in self.findings if not each.holds]
        return broken + [sentence(each) for each in self.comparisons if each.verdict is Verdict.WORSE]

    @property
    def passes(self) -> bool:
        """True when nothing speaks against the candidate."""
        return not self.reasons

    @property
    def summary(self) -> str:
        """One line: the verdict with what is better, or the first reasons."""
        if self.passes:
            better = [each.name for each in self.comparisons if each.verdict is Verdict.BETTER and each.group == "all"]
            what = f"{len(better)} better ({', '.join(better[:3])})" if better else "none better beyond chance"
            return f"passed: {len(self.comparisons)} measures compared, {what}, none worse"
        n = len(self.reasons)
        return f"refused for {n} reason{'s' if n != 1 else ''}: " + "; ".join(self.reasons[:3])

    def to_json(self) -> dict[str, Any]:
        """Plain data with the verdict."""
        return asdict(self) | {"passes": self.passes, "reasons": self.reasons}

    def to_markdown(self) -> str:
        """A page for people: verdict, reasons, findings, comparisons."""
        verdict = "promote" if self.passes else "refuse"
        against = f" against {self.current}" if self.current else ", the first of its name"
        lines = [
            f"# Gate: {verdict} {self.candidate}",
            f"{self.candidate}{against}; dataset {self.snapshot[:12]}, {self.n_crystals} labelled test crystals.",
            f"A candidate as good as the current model would be refused by the {len(self.comparisons)} comparisons "
            f"together with a chance of at most {100 * self.alpha:g} %.",
            *(["## Reasons", "\n".join(f"- {reason}" for reason in self.reasons)] if self.reasons else []),
            "## What must hold",
            table_of(("check", "what", "holds", "found"), [_finding_cells(each) for each in self.findings]),
        ]
        if self.comparisons:
            heads = ("measure", "crystals of", "n", "current", "candidate", "± of the change", "verdict")
            rows = [_comparison_cells(each) for each in self.comparisons]
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
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _finding_cells(finding: Finding) -> tuple[str, ...]:
    return finding.check.value, finding.subject, "yes" if finding.holds else "**no**", finding.detail


def _comparison_cells(c: Comparison) -> tuple[str, ...]:
    verdict = f"**{c.verdict.value}**" if c.verdict is Verdict.WORSE else c.verdict.value
    return c.name, c.group, str(c.n), f"{c.current:.4g}", f"{c.candidate:.4g}", f"{c.error:.2g}", verdict
