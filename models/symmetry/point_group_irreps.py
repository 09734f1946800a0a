"""Irreducible representations of the 32 crystallographic point groups, named by their Mulliken symbols.

Physically irreducible ones: a pair of complex conjugates of a cyclic group, which time reversal makes degenerate, is
one E (E1, Eg, E', ...). Every group is one of eleven groups of proper rotations, or such a group times the inversion
(each irrep becomes a g and a u), or isomorphic to it by R -> det(R) R (m to 2, 4mm to 422, -6m2 to 622, ...). So eleven
tables suffice, and these follow from the order and the axis of each rotation.

Axes are those of the standard setting of International Tables A, in which the subscripts mean:

* 222, mmm: B1, B2, B3 are even under the rotation about c, b, a; mm2 (polar axis c): B1 under m normal to b, B2 under m
  normal to a;
* 422, 622, 4/mmm, 6/mmm: A1, B1 are even under the two-fold rotations about a and its like, the secondary direction of
  the Hermann-Mauguin symbol; 4mm, 6mm: under the mirrors normal to these;
* 32, -3m, -42m, -4m2, -6m2, -62m: A1, B1, A1'' are even under the two-fold rotations normal to c, wherever they lie;
  3m: A1 is even under the mirrors;
* 432, m-3m: T1 has the character +1 under 4, T2 has -1; -43m: likewise under -4.

The rules are those of R. S. Mulliken, J. Chem. Phys. 23, 1997 (1955), for the choice of axes of phonopy. Others name
the mirrors of 6mm or the axes of 6/mmm the other way round, which exchanges B1 and B2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import Floats, Ints
from models.symmetry.operations import SymmetryError

_ORDER_OF_TRACE = {3: 1, -1: 2, 0: 3, 1: 4, 2: 6}
_WHOLE = 0.05  # entries in a conventional basis are whole numbers; a cell within tolerance strays by hundredths

# Isomorphic groups without inversion whose irreps have other names than those of their proper rotations.
_RENAMED: dict[str, dict[str, str]] = {
    "2": {"A": "A'", "B": "A''"},
    "222": {"A": "A1", "B1": "A2", "B2": "B1", "B3": "B2"},
    "6": {"A": "A'", "B": "A''", "E1": "E''", "E2": "E'"},
    "622": {"A1": "A1'", "A2": "A2'", "B1": "A1''", "B2": "A2''", "E1": "E''", "E2": "E'"},
}


@dataclass(frozen=True)
class PointGroupIrreps:
    """Physically irreducible representations of a point group.

    Attributes:
        symbols: Mulliken symbols, e.g. "T1u"; the totally symmetric one is the first.
        characters: real, shape [n_irreps, n_ops].
        n_constituents: complex irreps in each: 2 for a pair of complex conjugates, else 1, shape [n_irreps].
        rotations: the operations, orthogonal, shape [n_ops, 3, 3].
    """

    symbols: tuple[str, ...]
    characters: Floats
    n_constituents: Ints
    rotations: Floats

    @property
    def degeneracies(self) -> Ints:
        """Dimension of each, 1 to 3, shape [n_irreps]."""
        identity = np.einsum("oii->o", self.rotations).argmax()
        return np.rint(self.characters[:, identity]).astype(np.int64)

    @property
    def projector_weights(self) -> Floats:
        """w of P_i = Σ_R w_iR D(R), the projector on all copies of irrep i in a representation D, [n_irreps, n_ops]."""
        scale = self.degeneracies / self.n_constituents / len(self.rotations)
        weights: Floats = scale[:, None] * self.characters
        return weights

    @property
    def dipole_projectors(self) -> Floats:
        """Projectors on the vectors that transform as each irrep, shape [n_irreps, 3, 3]; 0 where there are none."""
        projectors: Floats = np.einsum("io,oab->iab", self.projector_weights, self.rotations)
        projectors[np.abs(projectors) < 1e-12] = 0.0
        return projectors

    @property
    def is_raman_active(self) -> NDArray[np.bool_]:
        """Whether a symmetric tensor of rank 2 transforms as each irrep, shape [n_irreps]."""
        trace = np.einsum("oii->o", self.rotations)
        trace_of_square = np.einsum("oij,oji->o", self.rotations, self.rotations)
        return self.multiplicities(0.5 * (trace**2 + trace_of_square)) > 0

    def multiplicities(self, characters: Floats) -> Ints:
        """How often a representation contains each irrep.

        Args:
            characters: of the representation, real, shape [n_ops].

        Returns:
            Shape [n_irreps].

        Raises:
            SymmetryError: the characters are those of no representation, for some irrep would be contained a fraction
                of a time.
        """
        times = self.characters @ characters / len(self.rotations) / self.n_constituents
        whole = np.rint(times)
        if np.abs(times - whole).max() > 1e-6 or whole.min() < 0:
            raise SymmetryError("The characters are those of no representation of the point group.", [])
        return whole.astype(np.int64)


def point_group_irreps(rotations: Floats, conventional: Floats) -> PointGroupIrreps:
    """Irreps of a point group by their Mulliken symbols, see the conventions of this module.

    Args:
        rotations: all operations of the group once, orthogonal, shape [n_ops, 3, 3].
        conventional: columns a, b, c of the conventional cell in the standard setting of the space group, in the frame
            of the rotations, of any length unit, shape [3, 3]; for trigonal groups hexagonal axes.

    Returns:
        Characters in the order of the rotations.

    Raises:
        SymmetryError: the rotations are no crystallographic point group in a standard setting of these axes.
    """
    in_basis = np.linalg.inv(conventional) @ rotations @ conventional
    matrices = np.rint(in_basis).astype(np.int64)
    signs = np.rint(np.linalg.det(rotations)).astype(np.int64)
    n_ops = len(rotations)
    if np.abs(in_basis - matrices).max() > _WHOLE or len(np.unique(matrices, axis=0)) != n_ops:
        raise SymmetryError("The rotations do not fit the conventional axes, or some are given twice.", [])
    symbols, characters = _proper_table(signs[:, None, None] * matrices, signs)
    if (np.einsum("oii->o", matrices) == -3).any():
        symbols = [f"{symbol}{parity}" for parity in "gu" for symbol in symbols]
        characters = np.concatenate([characters, characters * signs])
    norms = (characters**2).sum(axis=1) / n_ops
    # What is no group, or lies otherwise in its axes, gives rows that are not orthogonal.
    products = characters @ characters.T / n_ops
    if not np.isin(np.rint(norms), (1, 2)).all() or np.abs(products - np.diag(np.rint(norms))).max() > 1e-9:
        raise SymmetryError("The rotations are no point group in a standard setting of the conventional axes.", [])
    return PointGroupIrreps(tuple(symbols), characters, np.rint(norms).astype(np.int64), rotations)


def _proper_table(images: Ints, signs: Ints) -> tuple[list[str], Floats]:
    """Symbols and characters of irreps by the proper images det(R) R of the operations; det R is in `signs`."""
    traces = np.einsum("oii->o", images)
    if not np.isin(traces, list(_ORDER_OF_TRACE)).all():
        raise SymmetryError("Some rotations are of no crystallographic order.", [])
    orders = np.array([_ORDER_OF_TRACE[int(trace)] for trace in traces])
    n_fold, n_distinct = int(orders.max()), len(np.unique(images, axis=0))
    is_isomorphic = n_distinct == len(images) and bool((signs < 0).any())
    if (orders == 3).sum() * n_distinct == 8 * len(images):
        return _cubic(images, orders, n_distinct)
    if n_distinct == n_fold:
        group = str(n_fold)
        symbols, characters = _cyclic(traces, n_fold)
    elif n_fold == 2:
        group, symbols = "222", ["A", "B1", "B2", "B3"]
        # B1, B2, B3 are even under the rotation about c, b, a: where its entry for this axis is +1
        diagonals = images[:, [2, 1, 0], [2, 1, 0]].T
        if is_isomorphic and (signs != diagonals[0]).any():
            raise SymmetryError("The polar axis of mm2 is not c in the conventional axes.", [])
        characters = np.array([np.ones(len(images)), *diagonals])
    else:
        group = f"{n_fold}22"
        symbols, characters = _dihedral(images, traces, n_fold, signs if is_isomorphic else None)
    # 4mm and 6mm keep the names of 422 and 622: what their mirrors are called is what the two-fold axes are
    if is_isomorphic and group in _RENAMED and not (group == "622" and (signs[orders == 6] > 0).all()):
        symbols = [_RENAMED[group][symbol] for symbol in symbols]
    return symbols, characters


def _cyclic(traces: Ints, n_fold: int) -> tuple[list[str], Floats]:
    """1, 2, 3, 4, 6: cosines of multiples of the angle of rotation, by the trace 1 + 2 cos(angle)."""
    angles = np.arccos((traces - 1) / 2)
    rows = {"A": np.ones(len(angles))}
    if n_fold % 2 == 0:
        rows["B"] = np.rint(np.cos(n_fold / 2 * angles))
    n_pairs = (n_fold - 1) // 2
    for multiple in range(1, n_pairs + 1):
        rows["E" if n_pairs == 1 else f"E{multiple}"] = np.rint(2 * np.cos(multiple * angles))
    return list(rows), np.array(list(rows.values()))


def _dihedral(images: Ints, traces: Ints, n_fold: int, signs: Ints | None) -> tuple[list[str], Floats]:
    """32, 422, 622: rotations about c as in the cyclic group, and two-fold ones normal to it.

    For isomorphic groups with improper operations, det R is in `signs`.
    """
    is_about_c = images[:, 2, 2] == 1
    symbols, characters = _cyclic(traces, n_fold)
    secondary = np.array([[1, 0, 0], [0, 1, 0]] if n_fold == 4 else [[1, 0, 0], [0, 1, 0], [1, 1, 0]])
    is_first = (images @ secondary.T == secondary.T).all(axis=1).any(axis=1)
    if n_fold % 2 == 1:
        is_first = ~is_about_c
    elif signs is not None and len(set(signs[~is_about_c].tolist())) == 2:
        # in -42m and -6m2 the two-fold axes are distinguished from the normals of mirrors, wherever they lie
        is_first = signs > 0
    rows: dict[str, Floats] = {}
    for symbol, row in zip(symbols, characters, strict=True):
        if symbol.startswith("E"):
            rows[symbol] = np.where(is_about_c, row, 0.0)
            continue
        other = 1.0 if symbol == "A" else -1.0
        for subscript, sign in ((1, 1.0), (2, -1.0)):
            rows[f"{symbol}{subscript}"] = np.where(is_about_c, row, sign * np.where(is_first, 1.0, other))
    return list(rows), np.array(list(rows.values()))


def _cubic(images: Ints, orders: Ints, n_distinct: int) -> tuple[list[str], Floats]:
    """23 and 432: T1 is how axial vectors transform, A2 is odd under the rotations of 432 that are not in 23."""
    in_tetrahedral = (orders == 3) | (np.abs(images) == np.eye(3)).all(axis=(1, 2))
    second = np.where(in_tetrahedral, 1, -1)
    double = np.where(orders == 3, -1, np.where(in_tetrahedral, 2, 0))
    axial = np.einsum("oii->o", images)
    one = np.ones_like(axial)
    if n_distinct == 12:
        return ["A", "E", "T"], np.array([one, double, axial], dtype=np.float64)
    rows = [one, second, double, axial, axial * second]
    return ["A1", "A2", "E", "T1", "T2"], np.array(rows, dtype=np.float64)
