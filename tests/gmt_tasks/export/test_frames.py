"""Hits in the IEEE frame: lattice and tensors turn together, whatever the orientation they came in."""

import numpy as np
import pytest

from db.query.hits import Frame, Hits
from gmt_tasks.export.frames import ieee_axes, in_ieee_frame
from gmt_tasks.export.surface_grid import surface_grid
from models.crystals.crystal import CrystalBatch
from models.derived.piezoelectric import piezoelectric_strain_voigt
from models.derived.surfaces import Surface
from models.quantities import TENSORS, Tensor
from models.reference.crystals import class_operations, crystals_of_all_classes, random_orthogonal, transformed
from models.symmetry.search import find_symmetry
from models.tensors.frames import FrameError
from models.tensors.positive_senses import SENSE_RULES
from models.tensors.rotate import rotate
from models.tensors.voigt import voigt_to_piezo

CLASSES = crystals_of_all_classes()


def hits_in(rotation: np.ndarray) -> Hits:  # type: ignore[type-arg]
    """A crystal of every class with tensors that its symmetry allows, rotated as a whole."""
    batch = CLASSES.crystals
    symmetry = find_symmetry(batch)
    rng = np.random.default_rng(3)
    tensors = {}
    for tensor in Tensor:
        values = rng.normal(size=(batch.n_crystals, *TENSORS[tensor].shape))
        if tensor is Tensor.PIEZOELECTRIC:
            values = values + np.swapaxes(values, -1, -2)
        else:
            values = values + np.swapaxes(values, -1, -2) + 20 * np.eye(values.shape[-1])
        tensors[tensor] = rotate(tensor, symmetry.project(tensor, values), rotation)
    rows = [{"id": str(place), "symprec": 0.01} for place in range(batch.n_crystals)]
    return Hits(rows, transformed(batch, rotation), tensors)


def test_tensors_in_the_ieee_frame_do_not_depend_on_the_orientation_of_the_input() -> None:
    turn = random_orthogonal(np.random.default_rng(5))
    turn = turn * np.sign(np.linalg.det(turn))
    given, turned, mirrored = hits_in(np.eye(3)), hits_in(turn), hits_in(-turn)
    one, other, image = in_ieee_frame(given), in_ieee_frame(turned), in_ieee_frame(mirrored)
    assert one.frame is Frame.IEEE
    for place, symbol in enumerate(CLASSES.classes):
        # The rotation that the lattice rows went through is that of every tensor.
        rotation = np.linalg.solve(turned.crystals.lattice[place], other.crystals.lattice[place]).T
        alike = {}
        for tensor, values in turned.tensors.items():
            assert np.allclose(rotate(tensor, values[place], rotation), other.tensors[tensor][place], atol=1e-8)
            assert np.allclose(one.tensors[tensor][place], other.tensors[tensor][place], atol=1e-6), symbol
            alike[tensor] = np.allclose(one.tensors[tensor][place], image.tensors[tensor][place], atol=1e-6)
        # A mirror image is the same crystal where the class holds an improper operation.
        assert all(alike.values()) or (np.linalg.det(class_operations(symbol)) > 0).all(), symbol
        assert not alike[Tensor.PIEZOELECTRIC] or symbol not in {"1", "222", "32", "422", "622"}
    # control: without the rotation into the frame the tensors of the two orientations differ
    assert not np.allclose(given.tensors[Tensor.ELASTIC], turned.tensors[Tensor.ELASTIC])


def test_the_standards_coefficients_are_positive_in_every_class_in_both_hands() -> None:
    negative = 0
    for orthogonal in (np.eye(3), -np.eye(3)):
        hits = hits_in(orthogonal)
        for place, axes in enumerate(ieee_axes(hits)):
            rule = SENSE_RULES.get(CLASSES.classes[place])
            if rule is None:
                continue
            lines = ieee_axes(Hits(hits.rows[:1], hits.crystals.select([place]), {}))[0].rotation
            tensors = [hits.tensors[tensor][place] for tensor in (Tensor.PIEZOELECTRIC, Tensor.ELASTIC)]
            of_lines, of_axes = (_d(*tensors, rotation) for rotation in (lines, axes.rotation))
            places = [(int(name[1]) - 1, int(name[2]) - 1) for name in rule.positive]
            assert all(of_axes[entry] > 0 for entry in places), CLASSES.classes[place]
            negative += any(of_lines[entry] < 0 for entry in places)
    assert negative >= 10, "control: the lattice alone gives either sense"


def _d(piezo: np.ndarray, stiffness: np.ndarray, rotation: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """d in Voigt form, [3, 6], after a rotation."""
    e, c = (
        rotate(name, values, rotation) for name, values in ((Tensor.PIEZOELECTRIC, piezo), (Tensor.ELASTIC, stiffness))
    )
    return piezoelectric_strain_voigt(e[None], c[None])[0]


PUBLISHED = {
    # class, C11 C12 C13 C14 C33 C44 (C66) in GPa, e_iJ in C/m^2 by the standard's axes, deciding coefficients
    # left-handed quartz in the axes of 1949, d11 positive: R. Bechmann, Phys. Rev. 110, 1060 (1958)
    "quartz": ("32", (86.74, 6.99, 11.91, -17.91, 107.2, 57.94), {"11": 0.171, "14": -0.0406}, {"d11": 2.31}),
    # A. W. Warner, M. Onoe, G. A. Coquin, J. Acoust. Soc. Am. 42, 1223 (1967)
    "LiNbO3": (
        "3m",
        (203.0, 53.0, 75.0, 9.0, 245.0, 60.0),
        {"15": 3.7, "22": 2.5, "31": 0.2, "33": 1.3},
        {"d22": 20.8, "d33": 6.0},
    ),
    # F. Bernardini, V. Fiorentini, D. Vanderbilt, Phys. Rev. B 56, R10024 (1997); A. Polian, J. Appl. Phys. 79, 3343
    "GaN": ("6mm", (390.0, 145.0, 106.0, 0.0, 398.0, 105.0), {"15": -0.30, "31": -0.49, "33": 0.73}, {"d33": 2.7}),
    # K. Tsubouchi, N. Mikoshiba, IEEE Trans. Sonics Ultrason. 32, 634 (1985)
    "AlN": ("6mm", (345.0, 125.0, 120.0, 0.0, 395.0, 118.0), {"15": -0.48, "31": -0.58, "33": 1.55}, {"d33": 5.5}),
    # I. B. Kobiakov, Solid State Commun. 35, 305 (1980)
    "ZnO": ("6mm", (207.0, 117.7, 106.1, 0.0, 209.5, 44.8), {"15": -0.48, "31": -0.573, "33": 1.321}, {"d33": 12.3}),
    # M. Zgonik et al., Phys. Rev. B 50, 5941 (1994)
    "BaTiO3": (
        "4mm",
        (222.0, 108.0, 111.0, 0.0, 151.0, 61.0, 134.0),
        {"15": 34.2, "31": -0.7, "33": 6.7},
        {"d33": 90.0},
    ),
}


def published(name: str) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """e [3, 3, 3] and C [6, 6] of a published crystal, in the axes of the standard."""
    group, (c11, c12, c13, c14, c33, c44, *c66), entries, _ = PUBLISHED[name]
    stiffness = np.diag([c11, c11, c33, c44, c44, c66[0] if c66 else (c11 - c12) / 2])
    for row, column, value in ((0, 1, c12), (0, 2, c13), (1, 2, c13), (0, 3, c14), (1, 3, -c14), (4, 5, c14)):
        stiffness[row, column] = stiffness[column, row] = value
    voigt = np.zeros((3, 6))
    for indices, value in entries.items():
        voigt[int(indices[0]) - 1, int(indices[1]) - 1] = value
    if group == "32":
        voigt[0, 1], voigt[1, 4], voigt[1, 5] = -voigt[0, 0], -voigt[0, 3], -voigt[0, 0]
    else:
        voigt[2, 1], voigt[1, 3], voigt[1, 0], voigt[0, 5] = voigt[2, 0], voigt[0, 4], -voigt[1, 1], -voigt[1, 1]
    return voigt_to_piezo(voigt), stiffness


def as_hits(name: str, orthogonal: np.ndarray, flip: np.ndarray) -> Hits:  # type: ignore[type-arg]
    """A crystal of a class that carries a published crystal's tensors, its axes flipped, rotated as a whole."""
    group = PUBLISHED[name][0]
    one = CLASSES.crystals.select([CLASSES.classes.index(group)])
    lines = ieee_axes(Hits([{}], one, {}))[0].rotation
    e, c = published(name)
    tensors = {Tensor.PIEZOELECTRIC: e, Tensor.ELASTIC: c}
    there = orthogonal @ lines.T @ flip
    turned = {tensor: rotate(tensor, values, there)[None] for tensor, values in tensors.items()}
    return Hits([{"symprec": 0.01}], transformed(one, orthogonal), turned)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_tensors_come_back_from_any_orientation_with_the_signs_of_handbooks(name: str) -> None:
    e, c = published(name)
    group, _, _, deciding = PUBLISHED[name]
    flips = (np.eye(3), np.diag([-1.0, -1, 1])) if group == "32" else (np.eye(3), np.diag([1.0, -1, -1]))
    for seed, flip in enumerate(flips):
        for hand in (1.0, -1.0):
            orthogonal = hand * random_orthogonal(np.random.default_rng(seed))
            hits = as_hits(name, orthogonal, flip)
            axes = ieee_axes(hits)[0]
            assert np.linalg.det(axes.rotation) == pytest.approx(1)
            there = in_ieee_frame(hits)
            d = piezoelectric_strain_voigt(there.tensors[Tensor.PIEZOELECTRIC], there.tensors[Tensor.ELASTIC])[0]
            for coefficient, value in deciding.items():
                assert d[int(coefficient[1]) - 1, int(coefficient[2]) - 1] == pytest.approx(value, rel=0.1)
                assert f"{coefficient} = " in axes.description
            # Right-handed quartz has the other sign of d14 and of C14 than left-handed, and d11 is positive again.
            other_hand = group == "32" and np.linalg.det(orthogonal) < 0
            image = np.diag([1.0, -1 if other_hand else 1, 1])
            for tensor, values in ((Tensor.PIEZOELECTRIC, e), (Tensor.ELASTIC, c)):
                expected = rotate(tensor, values, image)
                np.testing.assert_allclose(there.tensors[tensor][0], expected, atol=1e-6 * np.abs(values).max())


def test_what_fixes_the_senses_is_said_and_e_stands_in_where_there_is_no_compliance() -> None:
    hits = as_hits("AlN", np.eye(3), np.diag([1.0, -1, -1]))
    assert "6mm; senses such that d33 = 5.53 pC/N is positive" in ieee_axes(hits)[0].description
    unstable = Hits(hits.rows, hits.crystals, hits.tensors | {Tensor.ELASTIC: -hits.tensors[Tensor.ELASTIC]})
    assert "e33 = 1.55 C/m^2 (e for want of a stable stiffness)" in ieee_axes(unstable)[0].description
    nothing = Hits(hits.rows, hits.crystals, {Tensor.PIEZOELECTRIC: 0 * hits.tensors[Tensor.PIEZOELECTRIC]})
    assert "which follow the cell" in ieee_axes(nothing)[0].description
    in_every_class = dict(zip(CLASSES.classes, ieee_axes(hits_in(np.eye(3))), strict=True))
    assert "leaves no sense of an axis open" in in_every_class["422"].description
    # d14 is twice the entry 123 of the tensor
    hits, place = hits_in(np.eye(3)), CLASSES.classes.index("-43m")
    e, c = (hits.tensors[tensor][place] for tensor in (Tensor.PIEZOELECTRIC, Tensor.ELASTIC))
    assert f"d14 = {_d(e, c, in_every_class['-43m'].rotation)[0, 3]:.3g} pC/N" in in_every_class["-43m"].description


def test_what_a_class_forbids_in_its_ieee_frame_is_exactly_zero() -> None:
    turn = random_orthogonal(np.random.default_rng(5))
    hits = in_ieee_frame(hits_in(turn * np.sign(np.linalg.det(turn))))
    for tensor, values in hits.tensors.items():
        sizes = np.abs(values).reshape(len(values), -1)
        rounding = (sizes > 0) & (sizes < 1e-9 * sizes.max(axis=1, keepdims=True))
        assert not rounding.any(), (tensor, np.flatnonzero(rounding.any(axis=1)))
    n_zeros = (hits.tensors[Tensor.ELASTIC] == 0).sum(axis=(1, 2))
    assert n_zeros.max() == 24, "cubic: twelve entries are left of 36"


def test_hits_that_are_in_another_frame_are_refused() -> None:
    hits = Hits([], CrystalBatch.from_arrays([], [], []), {}, Frame.IEEE)
    with pytest.raises(FrameError, match="in the ieee frame already"):
        in_ieee_frame(hits)


def test_a_surface_is_drawn_in_the_frame_of_the_lattice_beside_it() -> None:
    stiffness = np.diag([100.0, 200.0, 300.0, 50.0, 50.0, 50.0])
    result = {"tensors": {"elastic_voigt": stiffness}, "derived": {}}
    grid = surface_grid({"lattice": 4 * np.eye(3)}, result, Surface.YOUNG)
    assert (grid.extremes.max, grid.sections["xy"][0]) == pytest.approx((300.0, 100.0))
    assert grid.sections["yz"][90] == pytest.approx(300.0)  # a quarter of the circle from y: z
    assert grid.values.min() >= grid.extremes.min - 1e-9
    assert grid.values.max() <= grid.extremes.max + 1e-9
