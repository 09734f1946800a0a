"""Character tables of the 32 point groups: the laws of characters, and the basis functions of printed tables."""

from functools import cache

import numpy as np
import pytest

from models.crystals.crystal import Floats
from models.reference.crystals import CRYSTAL_CLASSES, cell_from_parameters, class_operations, random_orthogonal
from models.symmetry.operations import SymmetryError
from models.symmetry.point_group_irreps import PointGroupIrreps, point_group_irreps

EVERY_CLASS = pytest.mark.parametrize("symbol", CRYSTAL_CLASSES)

# Which irrep printed tables give to a vector's component (x), an axial vector's (Rx) and a polynomial (xx-yy), for a
# along x and c along z; ("x..." is x(xx-3yy), "y..." is y(3xx-yy)). Cotton, Chemical Applications of Group Theory,
# appendix; the two-fold axes of 32, -42m lie along a, the mirrors of 3m, 6mm, -6m2 are normal to a.
BASIS_FUNCTIONS = {
    "1": "A: x y z Rx Ry Rz xy",
    "-1": "Ag: Rx Ry Rz xx-yy xy xz yz; Au: x y z xyz",
    "2": "A: y Ry xx-yy xz; B: x z Rx Rz xy yz",
    "m": "A': x z Ry xx-yy xz; A'': y Rx Rz xy yz",
    "2/m": "Ag: Ry xx-yy xz; Bg: Rx Rz xy yz; Au: y; Bu: x z",
    "222": "A: xx-yy xyz; B1: z Rz xy; B2: y Ry xz; B3: x Rx yz",
    "mm2": "A1: z xx-yy; A2: Rz xy; B1: x Ry xz; B2: y Rx yz",
    "mmm": "Ag: xx-yy; B1g: Rz xy; B2g: Ry xz; B3g: Rx yz; Au: xyz; B1u: z; B2u: y; B3u: x",
    "4": "A: z Rz zz; B: xx-yy xy; E: x y Rx Ry xz yz",
    "-4": "A: Rz zz; B: z xx-yy xy; E: x y Rx Ry xz yz",
    "4/m": "Ag: Rz zz; Bg: xx-yy xy; Eg: Rx Ry xz yz; Au: z; Bu: xyz z(xx-yy); Eu: x y",
    "422": "A1: zz; A2: z Rz; B1: xx-yy xyz; B2: xy; E: x y Rx Ry xz yz",
    "4mm": "A1: z zz; A2: Rz; B1: xx-yy z(xx-yy); B2: xy xyz; E: x y Rx Ry xz yz",
    "-42m": "A1: zz xyz; A2: Rz z(xx-yy); B1: xx-yy; B2: z xy; E: x y Rx Ry xz yz",
    "4/mmm": "A1g: zz; A2g: Rz; B1g: xx-yy; B2g: xy; Eg: Rx Ry xz yz; A2u: z; B1u: xyz; B2u: z(xx-yy); Eu: x y",
    "3": "A: z Rz zz; E: x y Rx Ry xx-yy xy xz yz",
    "-3": "Ag: Rz zz; Eg: Rx Ry xx-yy xy xz yz; Au: z; Eu: x y",
    "32": "A1: zz x...; A2: z Rz y...; E: x y Rx Ry xx-yy xy xz yz",
    "3m": "A1: z zz y...; A2: Rz x...; E: x y Rx Ry xx-yy xy xz yz",
    "-3m": "A1g: zz; A2g: Rz; Eg: Rx Ry xx-yy xy xz yz; A1u: x...; A2u: z y...; Eu: x y",
    "6": "A: z Rz zz; B: x... y...; E1: x y Rx Ry xz yz; E2: xx-yy xy",
    "-6": "A': Rz zz x... y...; A'': z; E': x y xx-yy xy; E'': Rx Ry xz yz",
    "6/m": "Ag: Rz zz; E1g: Rx Ry xz yz; E2g: xx-yy xy; Au: z; Bu: x... y...; E1u: x y; E2u: xyz z(xx-yy)",
    "622": "A1: zz; A2: z Rz; B1: x...; B2: y...; E1: x y Rx Ry xz yz; E2: xx-yy xy",
    "6mm": "A1: z zz; A2: Rz; B1: y...; B2: x...; E1: x y Rx Ry xz yz; E2: xx-yy xy",
    "-6m2": "A1': zz y...; A2': Rz x...; E': x y xx-yy xy; A2'': z; E'': Rx Ry xz yz",
    "6/mmm": "A1g: zz; A2g: Rz; B1g: z(y...); B2g: z(x...); E1g: Rx Ry xz yz; E2g: xx-yy xy; A2u: z; B1u: x...; "
    "B2u: y...; E1u: x y; E2u: xyz z(xx-yy)",
    "23": "A: rr xyz; E: xx-yy 3zz-rr; T: x y z Rx Ry Rz xy xz yz",
    "m-3": "Ag: rr; Eg: xx-yy 3zz-rr; Tg: Rx Ry Rz xy xz yz; Au: xyz; Tu: x y z",
    "432": "A1: rr; A2: xyz; E: xx-yy 3zz-rr; T1: x y z Rx Ry Rz; T2: xy xz yz z(xx-yy)",
    "-43m": "A1: rr xyz; E: xx-yy 3zz-rr; T1: Rx Ry Rz z(xx-yy); T2: x y z xy xz yz",
    "m-3m": "A1g: rr; Eg: xx-yy 3zz-rr; T1g: Rx Ry Rz; T2g: xy xz yz; A2u: xyz; T1u: x y z; T2u: z(xx-yy)",
}


def polynomial(name: str, points: Floats) -> Floats:
    """Values at points of shape [..., 3]."""
    x, y, z = np.moveaxis(points, -1, 0)
    first, second = x * (x * x - 3 * y * y), y * (3 * x * x - y * y)
    square = x * x + y * y + z * z
    values: dict[str, Floats] = {
        "x": x, "y": y, "z": z, "xx-yy": x * x - y * y, "zz": z * z, "xy": x * y, "xz": x * z, "yz": y * z,
        "rr": square, "3zz-rr": 3 * z * z - square, "xyz": x * y * z, "z(xx-yy)": z * (x * x - y * y),
        "x...": first, "y...": second, "z(x...)": z * first, "z(y...)": z * second,
    }  # fmt: skip
    return values[name]


def conventional_cell(symbol: str) -> Floats:
    """Columns a, b, c with a along x and c along z."""
    place = CRYSTAL_CLASSES.index(symbol)
    parameters = (
        (2, (3.1, 3.7, 4.2, 78, 83, 74)),
        (5, (3.1, 3.7, 4.2, 90, 104, 90)),
        (8, (3.1, 3.7, 4.2, 90, 90, 90)),
        (15, (3.1, 3.1, 4.2, 90, 90, 90)),
        (27, (3.1, 3.1, 4.2, 90, 90, 120)),
        (32, (3.1, 3.1, 3.1, 90, 90, 90)),
    )
    return cell_from_parameters(*next(cell for end, cell in parameters if place < end)).T


@cache
def table_of(symbol: str) -> PointGroupIrreps:
    cell = conventional_cell(symbol)
    return point_group_irreps(cell @ class_operations(symbol) @ np.linalg.inv(cell), cell)


def real_classes(rotations: Floats) -> list[list[int]]:
    """Operations that conjugation or inversion in time takes into each other: those on which real characters agree."""
    rest, classes = set(range(len(rotations))), []
    while rest:
        one = rotations[min(rest)]
        inverses = rotations.transpose(0, 2, 1)
        images = np.concatenate([rotations @ one @ inverses, rotations @ one.T @ inverses])
        apart = np.abs(images[:, None] - rotations[None]).max(axis=(2, 3))
        classes.append(sorted(set(np.argwhere(apart < 1e-9)[:, 1].tolist())))
        rest -= set(classes[-1])
    return classes


@EVERY_CLASS
def test_rows_of_characters_are_orthogonal_and_squares_of_dimensions_add_up_to_the_order(symbol: str) -> None:
    table = table_of(symbol)
    n_ops = len(table.rotations)
    products = table.characters @ table.characters.T / n_ops
    assert np.allclose(products, np.diag(table.n_constituents), atol=1e-12)
    assert (table.degeneracies**2 / table.n_constituents).sum() == n_ops
    # the first is totally symmetric, and a symbol stands for one irrep
    assert (table.characters[0] == 1).all() and table.symbols[0] in {"A", "A1", "Ag", "A1g", "A'", "A1'"}
    assert len(set(table.symbols)) == len(table.symbols)


@EVERY_CLASS
def test_columns_of_characters_are_orthogonal(symbol: str) -> None:
    table = table_of(symbol)
    classes = real_classes(table.rotations)
    columns = np.array([table.characters[:, ops].mean(axis=1) for ops in classes])
    spread = [np.ptp(table.characters[:, ops], axis=1).max() for ops in classes]
    assert max(spread) == 0 and len(classes) == len(table.symbols)
    products = (columns / table.n_constituents) @ columns.T
    sizes = np.array([len(ops) for ops in classes])
    assert np.allclose(products, np.diag(len(table.rotations) / sizes), atol=1e-12)


@EVERY_CLASS
def test_printed_basis_functions_transform_as_their_irreps(symbol: str) -> None:
    table = table_of(symbol)
    points = np.random.default_rng(1).normal(size=(7, 3))
    # the function R f has at r the value of f at R^-1 r
    moved = np.einsum("oba,pb->opa", table.rotations, points)
    axial = np.linalg.det(table.rotations)[:, None, None] * table.rotations
    for entry in BASIS_FUNCTIONS[symbol].split("; "):
        irrep, _, names = entry.partition(": ")
        weights = table.projector_weights[table.symbols.index(irrep)]
        for name in names.split():
            if name.startswith("R"):
                column = np.eye(3)["xyz".index(name[1])]
                assert np.allclose(np.einsum("o,oab->ab", weights, axial) @ column, column), (irrep, name)
            else:
                assert np.allclose(weights @ polynomial(name, moved), polynomial(name, points)), (irrep, name)


def product_symbol(first: str, second: str) -> str:
    """A A = A, A B = B, B B = A; 1 1 = 1, 1 2 = 2, 2 2 = 1; g and u, ' and '' likewise. In 222, B1 B2 = B3."""
    differ = {mark: (mark in first) != (mark in second) for mark in ("B", "2", "u", "''")}
    letter = "B" if differ["B"] else "A"
    subscript = ("2" if differ["2"] else "1") if "1" in first or "2" in first else ""
    primes = ("''" if differ["''"] else "'") if "'" in first else ""
    parity = ("u" if differ["u"] else "g") if first[-1] in "gu" else ""
    return f"{letter}{subscript}{primes}{parity}"


@EVERY_CLASS
def test_one_dimensional_irreps_multiply_as_their_symbols(symbol: str) -> None:
    table = table_of(symbol)
    single = [name for name, degeneracy in zip(table.symbols, table.degeneracies, strict=True) if degeneracy == 1]
    characters = {name: table.characters[table.symbols.index(name)] for name in single}
    if symbol in {"222", "mmm"}:
        parity = "g" if symbol == "mmm" else ""
        one, two, three = (characters[f"B{k}{parity}"] for k in (1, 2, 3))
        assert np.array_equal(one * two, three)
        return
    for first in single:
        for second in single:
            product = characters[product_symbol(first, second)]
            assert np.array_equal(product, characters[first] * characters[second]), (first, second)


def test_pairs_of_complex_conjugates_are_one_irrep_in_cyclic_groups_and_their_relatives_only() -> None:
    paired = {symbol for symbol in CRYSTAL_CLASSES if (table_of(symbol).n_constituents == 2).any()}
    assert paired == {"4", "-4", "4/m", "3", "-3", "6", "-6", "6/m", "23", "m-3"}


def test_polar_and_raman_active_irreps_exclude_each_other_where_there_is_an_inversion() -> None:
    both = {
        symbol: bool((table_of(symbol).dipole_projectors.any(axis=(1, 2)) & table_of(symbol).is_raman_active).any())
        for symbol in CRYSTAL_CLASSES
    }
    # in 432 vectors are T1, and symmetric tensors A1 + E + T2
    exclusive = {"-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m", "432"}
    assert {symbol for symbol, is_both in both.items() if not is_both} == exclusive


@EVERY_CLASS
def test_dipole_projectors_divide_space_and_turn_with_the_crystal(symbol: str) -> None:
    table, cell = table_of(symbol), conventional_cell(symbol)
    assert np.allclose(table.dipole_projectors.sum(axis=0), np.eye(3))
    turn = -random_orthogonal(np.random.default_rng(2))
    turned = point_group_irreps(turn @ table.rotations @ turn.T, turn @ cell)
    assert turned.symbols == table.symbols
    assert np.array_equal(turned.characters, table.characters)
    assert np.allclose(turned.dipole_projectors, turn @ table.dipole_projectors @ turn.T)


def test_other_axes_of_a_tetragonal_crystal_exchange_b1_and_b2() -> None:
    table, cell = table_of("4/mmm"), conventional_cell("4/mmm")
    diagonal = point_group_irreps(table.rotations, cell @ np.array([[1.0, -1, 0], [1, 1, 0], [0, 0, 1]]))
    first, second = table.symbols.index("B1g"), table.symbols.index("B2g")
    assert np.array_equal(diagonal.characters[first], table.characters[second])
    # not so where the two-fold axes are distinguished from the mirrors
    table, cell = table_of("-42m"), conventional_cell("-42m")
    diagonal = point_group_irreps(table.rotations, cell @ np.array([[1.0, -1, 0], [1, 1, 0], [0, 0, 1]]))
    assert np.array_equal(diagonal.characters, table.characters)


@pytest.mark.parametrize(
    ("symbol", "chosen", "basis", "message"),
    [
        ("4/mmm", slice(0, 7), np.eye(3), "no point group"),
        ("432", slice(0, 23), np.eye(3), "no point group"),
        ("4", slice(None), np.eye(3)[[2, 0, 1]], None),  # the characters of 4 need no axes
        ("4mm", slice(None), np.eye(3)[[2, 0, 1]], "no point group"),
        ("mm2", slice(None), np.eye(3)[[2, 0, 1]], "polar axis"),
        ("6/mmm", slice(None), np.diag([1.0, 1.5, 1.0]), "do not fit"),
        ("mmm", [0, 1, 1], np.eye(3), "given twice"),
    ],
)
def test_what_is_no_group_in_its_standard_setting_is_refused(
    symbol: str, chosen: slice | list[int], basis: Floats, message: str | None
) -> None:
    rotations, cell = table_of(symbol).rotations[chosen], conventional_cell(symbol) @ basis
    if message is None:
        assert point_group_irreps(rotations, cell).symbols == table_of(symbol).symbols
        return
    with pytest.raises(SymmetryError, match=message):
        point_group_irreps(rotations, cell)


def test_characters_of_no_representation_are_refused() -> None:
    table = table_of("m-3m")
    assert table.multiplicities(np.einsum("oii->o", table.rotations)).sum() == 1
    with pytest.raises(SymmetryError, match="no representation"):
        table.multiplicities(0.5 * np.einsum("oii->o", table.rotations))
    with pytest.raises(SymmetryError, match="no representation"):
        table.multiplicities(-np.einsum("oii->o", table.rotations))
