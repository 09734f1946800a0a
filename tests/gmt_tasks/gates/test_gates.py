"""The gates: nonsense is refused for its own reason, real crystals pass, and nothing is lost between."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmt_tasks.gates.gates import ALL_RELATIONS, EnergyEstimate, Gates
from gmt_tasks.gates.report import Gate, GateReport
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.errors import Reason
from models.plausibility.charge_balance import ChargeAnswer
from models.plausibility.space_groups import SymmetryAnswer

ROCKSALT = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]


def rocksalt(a: float, cation: str = "Na", anion: str = "Cl") -> CrystalBatch:
    """Conventional cell of edge a in angstrom."""
    frac = np.array([*ROCKSALT, *(np.array(ROCKSALT) + 0.5)])
    numbers = np.array([SYMBOLS.index(cation)] * 4 + [SYMBOLS.index(anion)] * 4)
    return CrystalBatch.from_arrays([a * np.eye(3)], [frac], [numbers])


def without_one_cation(a: float = 5.64) -> CrystalBatch:
    """Na3Cl4."""
    whole = rocksalt(a)
    return CrystalBatch.from_arrays([whole.lattice[0]], [whole.frac_coords[1:]], [whole.numbers[1:]])


CASES = {
    "sound": (rocksalt(5.64), None),
    "squeezed": (rocksalt(3.4), Gate.DISTANCES),
    "blown up": (rocksalt(10.0), Gate.VOLUME),
    "charged": (without_one_cation(), Gate.CHARGES),
    "noble": (rocksalt(6.0, "Ne", "Ar"), Gate.CHARGES),
    "intermetallic": (rocksalt(5.6, "Ni", "Al"), None),
}
BATCH = CrystalBatch.join([crystal for crystal, _ in CASES.values()])
EXPECTED = {row: gate for row, (_, gate) in enumerate(CASES.values()) if gate}


def gates_of(report: GateReport) -> dict[int, Gate]:
    """The gate that each refused row did not pass."""
    return {row: refused.gate for row, refused in report.refused.items()}


def test_each_kind_of_nonsense_stays_before_its_own_gate() -> None:
    report = Gates().judge(BATCH)
    assert gates_of(report) == EXPECTED
    assert report.counts == Counter(EXPECTED.values())
    assert report.passed() == [0, 5]
    assert report.n_judged == dict(zip(Gates().order, [6, 5, 4, 2, 2, 2], strict=True))
    details = {row: refused.detail for row, refused in report.refused.items()}
    assert "Na-Cl" in details[1] and "0.634 of the sum" in details[1] and "least 0.7" in details[1]
    assert "4.82 of the 25.9" in details[2] and "unbalanced: Cl4Na3" in details[3]
    assert np.isnan(report.numbers["volume_ratio"]).tolist() == [False, True, False, False, False, False]


def test_every_gate_has_a_reason_of_its_own_with_words_for_people() -> None:
    reasons = [gate.reason for gate in Gate]
    assert len(set(reasons)) == len(reasons) and all(reason.sentence and reason.advice for reason in reasons)
    assert Gates().judge(BATCH).refused[1].reason is Reason.TOO_CLOSE


@given(st.permutations(range(len(CASES))))
def test_neither_order_nor_neighbours_change_what_a_gate_says(order: list[int]) -> None:
    report = Gates().judge(BATCH.select(order))
    assert {order[row]: gate for row, gate in gates_of(report).items()} == EXPECTED


def test_all_reference_crystals_pass() -> None:
    known = reference_crystals().values()
    batch = CrystalBatch.from_arrays(
        [c.lattice for c in known], [c.frac_coords for c in known], [c.numbers for c in known]
    )
    report = Gates().judge(batch, spacegroups=np.array([c.spacegroup for c in known]))
    assert gates_of(report) == {}


def test_settings_open_and_shut_gates() -> None:
    assert gates_of(Gates(order=()).judge(BATCH)) == {}
    assert gates_of(Gates(order=(Gate.CHARGES,)).judge(BATCH)) == {3: Gate.CHARGES, 4: Gate.CHARGES}
    assert Gates(least_distance=0.6).judge(BATCH).refused[1].gate is Gate.VOLUME
    strict = Gates(charge_answers=frozenset({ChargeAnswer.BALANCED}))
    assert strict.judge(BATCH).refused[5].detail.startswith("intermetallic")


def test_a_group_that_was_missed_is_refused_and_a_supergroup_noted_or_refused() -> None:
    crystals = CrystalBatch.join([rocksalt(5.64)] * 4)
    intended = np.array([225, 216, 194, 0])  # the true one, a subgroup of it, another one, none
    report = Gates().judge(crystals, spacegroups=intended)
    assert gates_of(report) == {2: Gate.SYMMETRY}
    assert list(report.notes) == [1] and report.notes[1][0].startswith("gate_symmetry: supergroup: space group 216")
    strict = Gates(symmetry_answers=ALL_RELATIONS - {SymmetryAnswer.SUPERGROUP})
    assert gates_of(strict.judge(crystals, spacegroups=intended)) == {1: Gate.SYMMETRY, 2: Gate.SYMMETRY}


def test_a_known_crystal_is_no_discovery() -> None:
    report = Gates(known=frozenset({"gx-b"})).judge(CrystalBatch.join([rocksalt(5.64)] * 2), ["gx-a", "gx-b"])
    assert gates_of(report) == {1: Gate.KNOWN} and report.refused[1].detail == "content id gx-b"


def test_mixed_valence_is_noted() -> None:
    frac = np.random.default_rng(0).random((7, 3))
    magnetite = CrystalBatch.from_arrays([5.0 * np.eye(3)], [frac], [np.array([26] * 3 + [8] * 4)])
    report = Gates(order=(Gate.CHARGES,)).judge(magnetite)
    assert report.notes == {0: ["gate_charges: mixed valence: Fe3O4: O-2 Fe+2.67"]}


def estimate(batch: CrystalBatch) -> EnergyEstimate:
    """By the length of a: 0.1 eV per atom above the hull for each angstrom over 5; none above 6."""
    above = np.where(batch.lattice[:, 0, 0] > 6, np.nan, 0.5 * (batch.lattice[:, 0, 0] - 5))
    return EnergyEstimate(-above, above, np.full(batch.n_crystals, 0.05))


def test_energies_refuse_by_the_lower_end_of_their_interval_and_only_where_there_are_any() -> None:
    crystals = CrystalBatch.join([rocksalt(a) for a in (5.3, 5.45, 5.6, 6.5)])
    gates = Gates(energies=estimate, most_above_hull_ev_per_atom=0.2)
    report = gates.judge(crystals)
    assert gates_of(report) == {2: Gate.ENERGY}
    assert "0.300 ± 0.050 eV per atom above the hull" in report.refused[2].detail
    np.testing.assert_allclose(report.numbers["above_hull_ev_per_atom"], [0.15, 0.225, 0.3, np.nan])
    assert gates_of(Gates().judge(crystals)) == {}


def test_an_expensive_gate_sees_only_what_the_others_let_pass() -> None:
    seen: list[int] = []

    def counting(batch: CrystalBatch) -> EnergyEstimate:
        seen.append(batch.n_crystals)
        return estimate(batch)

    Gates(energies=counting).judge(BATCH)
    Gates(energies=counting).judge(BATCH.select([1, 3]))
    assert seen == [2]


@pytest.mark.parametrize("n", [0])
def test_no_crystals_pass_all_gates(n: int) -> None:
    report = Gates().judge(CrystalBatch.from_arrays([], [], []))
    assert (report.passed(), report.refused, report.n_crystals) == ([], {}, n)
