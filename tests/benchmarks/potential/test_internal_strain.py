"""Internal strain with nominal charges: an odd tensor of the crystal, which turns with it; and what is read back."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from benchmarks.accuracy.piezoelectric_recipes import read_internal_strain
from benchmarks.potential.internal_strain import begin, nominal_tensor, row_of
from benchmarks.potential.lines import SYMPREC_ANGSTROM, Named, append_lines
from models.crystals.crystal import CrystalBatch, Floats
from models.potential.each_crystal import calculate_each
from models.potential.second_derivatives import SecondDerivatives
from models.potential.sevennet import SevenNet
from models.quantities import Tensor
from models.reference.crystals import random_orthogonal
from models.tensors.rotate import rotate
from models.tensors.voigt import piezo_to_voigt


def crystal(name: str, structure: str, **cell: float) -> CrystalBatch:
    atoms = bulk(name, structure, **cell)
    return CrystalBatch.from_arrays([atoms.cell.array], [atoms.get_scaled_positions()], [atoms.numbers])


@pytest.fixture(scope="module")
def derivatives() -> list[SecondDerivatives]:
    """Of wurtzite AlN, of the same one turned and reflected, of rock salt."""
    wurtzite = crystal("AlN", "wurtzite", a=3.13, c=5.02)
    turned = replace(wurtzite, lattice=wurtzite.lattice @ turn().T)
    chosen = CrystalBatch.join([wurtzite, turned, crystal("MgO", "rocksalt", a=4.25)])
    start = lambda row, cell: begin(Named(str(row), chosen.select([row])), cell)  # noqa: E731
    found, failures = calculate_each(SevenNet(), chosen, SYMPREC_ANGSTROM, start)
    assert not failures
    return [found[k][0] for k in range(3)]


def turn() -> Floats:
    return -random_orthogonal(np.random.default_rng(3))


def test_aluminium_nitride_has_the_published_ionic_part_for_charges_of_three(
    derivatives: list[SecondDerivatives],
) -> None:
    """Internal parts: F. Bernardini et al., PRB 56, R10024 (1997). Z*: K. Karch, F. Bechstedt, PRB 56, 7404 (1997)."""
    e = piezo_to_voigt(nominal_tensor(derivatives[0]))
    along = np.sign(e[2, 2])  # which end of the polar axis is up
    assert along * e[2, 2] == pytest.approx(1.93 * 3 / 2.69, rel=0.15)
    assert along * e[2, 0] == pytest.approx(-0.96 * 3 / 2.69, rel=0.25)
    assert e[2, 0] == pytest.approx(e[2, 1], rel=1e-3)


def test_the_tensor_turns_with_the_crystal_and_a_centre_of_inversion_forbids_it(
    derivatives: list[SecondDerivatives],
) -> None:
    plain, turned, inverted = (nominal_tensor(one) for one in derivatives)
    np.testing.assert_allclose(turned, rotate(Tensor.PIEZOELECTRIC, plain, turn()), atol=3e-3)
    assert np.abs(turned - plain).max() > 0.3  # the turn is one that can be seen
    assert np.abs(inverted).max() < 1e-6


def test_crystals_that_are_judged_are_not_read_back(derivatives: list[SecondDerivatives], tmp_path: Path) -> None:
    lines = [{"id": str(k)} | row_of(one) for k, one in enumerate(derivatives)] + [{"id": "x", "failed": "no cell"}]
    path = tmp_path / "strain.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    crystals, components = read_internal_strain(path, set())
    assert crystals.formulas() == ["AlN", "AlN", "MgO"] and components.shape == (3, 18)
    assert read_internal_strain(path, {"AlN"})[0].formulas() == ["MgO"]


def test_a_file_goes_on_where_it_stopped_and_parts_make_the_whole(tmp_path: Path) -> None:
    chosen = [Named(name, crystal("MgO", "rocksalt", a=a)) for name, a in (("one", 4.2), ("two", 4.25), ("three", 4.3))]
    out, potential = tmp_path / "lines.ndjson", SevenNet()
    asked: list[str] = []

    def facts(one: Named, _: SecondDerivatives) -> dict[str, str]:
        asked.append(one.name)
        return {"said": one.name}

    for part in ("0/2", "1/2"):
        append_lines(potential, chosen, out, part, begin, facts)
    whole = out.read_text(encoding="utf-8")
    assert sorted(asked) == sorted(json.loads(line)["said"] for line in whole.splitlines()) == ["one", "three", "two"]
    # a kill within the last line
    out.write_text("".join(line + "\n" for line in whole.splitlines()[:-1]), encoding="utf-8")
    append_lines(potential, chosen, out, "0/1", begin, facts)
    assert out.read_text(encoding="utf-8") == whole
