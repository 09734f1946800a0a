"""The senses of the axes of the IEEE frame: which end of X, Y and Z is the positive one.

A lattice fixes the lines along which the axes lie, not their senses: IEEE Std 176 asks for the signs of some
piezoelectric strain coefficients d. Per class the proper rotations that put the symmetry elements back where they
stood are tried (left over are those that the class does not contain), and the one with positive coefficients is taken:

* polar classes: +Z such that d33 > 0;
* 1, m and 3: +X such that d11 > 0, too; 32: +X such that d11 > 0, in crystals of either hand;
* 2: +Y such that d22 > 0; 3m: +Y such that d22 > 0 besides d33 > 0; -6m2 has its mirror normal to X: d22 > 0;
* -42m: d36 > 0; -43m and 23: d14 > 0, which exchanges X and Y where it is not;
* -4: d36 > 0 and d31 > 0; -6: d11 > 0 and d22 > 0: a single coefficient would leave an axis open;
* 222, 422 and 622: nothing is left open, the sign of d14 tells the hand of the crystal.

Editions differ in class 32: the standards of 1949 and 1978 let +X follow the structure of quartz, which makes d11
negative in one of its hands. Improper rotations are never used, so a crystal and its mirror image stay apart.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import Floats, piezo_to_voigt

SMALLEST_SHARE = 1e-3
"""A coefficient below this share of the largest decides nothing: symmetry or noise may have made it."""

_ONE = np.eye(3)
_ABOUT_X, _ABOUT_Y, _ABOUT_Z = np.diag([1.0, -1.0, -1.0]), np.diag([-1.0, 1.0, -1.0]), np.diag([-1.0, -1.0, 1.0])
_QUARTER = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


class SenseRule(NamedTuple):
    """What fixes the senses in a class.

    Attributes:
        positive: coefficients of d that are to be positive, the most important first, e.g. ("d33", "d22").
        rotations: proper rotations of the frame that exchange the choices, the identity first, each [3, 3].
    """

    positive: tuple[str, ...]
    rotations: tuple[Floats, ...]


_TWO_FOLD_ROTATIONS = (_ONE, _ABOUT_X, _ABOUT_Y, _ABOUT_Z)
_FLIP_Z = SenseRule(("d33",), (_ONE, _ABOUT_X))
_EXCHANGE = SenseRule(("d14",), (_ONE, _QUARTER))

SENSE_RULES: dict[str, SenseRule] = {
    "1": SenseRule(("d33", "d11"), _TWO_FOLD_ROTATIONS),
    "2": SenseRule(("d22",), (_ONE, _ABOUT_X)),
    "m": SenseRule(("d33", "d11"), _TWO_FOLD_ROTATIONS),
    "222": SenseRule((), (_ONE,)),
    "mm2": _FLIP_Z,
    "4": _FLIP_Z,
    "-4": SenseRule(("d36", "d31"), (_ONE, _ABOUT_X, _QUARTER, _QUARTER @ _ABOUT_X)),
    "422": SenseRule((), (_ONE,)),
    "4mm": _FLIP_Z,
    "-42m": SenseRule(("d36",), (_ONE, _QUARTER)),
    "3": SenseRule(("d33", "d11"), _TWO_FOLD_ROTATIONS),
    "32": SenseRule(("d11",), (_ONE, _ABOUT_Z)),
    "3m": SenseRule(("d33", "d22"), _TWO_FOLD_ROTATIONS),
    "6": _FLIP_Z,
    "-6": SenseRule(("d11", "d22"), _TWO_FOLD_ROTATIONS),
    "622": SenseRule((), (_ONE,)),
    "6mm": _FLIP_Z,
    "-6m2": SenseRule(("d22",), (_ONE, _ABOUT_Z)),
    "23": _EXCHANGE,
    "-43m": _EXCHANGE,
}
"""The twenty piezoelectric classes, by their symbol without a setting."""

WITHOUT_OPEN_SENSE = {name for name, rule in SENSE_RULES.items() if not rule.positive}
"""Classes whose own rotations exchange all choices: they need no rule."""

_CLASS_OF_SETTING = {"321": "32", "312": "32", "3m1": "3m", "31m": "3m", "-4m2": "-42m", "-62m": "-6m2"}


class Senses(NamedTuple):
    """How the axes of a frame are turned so that they point to their positive ends.

    Attributes:
        rotation: from the frame to the one with positive senses, proper, [3, 3].
        decided: the coefficients that decided, with their entries of the tensor in the new frame.
        undecided: the coefficients that were asked for and are too small; these senses are those of the given frame.
    """

    rotation: Floats
    decided: dict[str, float]
    undecided: dict[str, float]


def positive_senses(point_group: str, coefficients: ArrayLike) -> Senses:
    """The rotation that makes the coefficients positive which fix the senses of the axes in a crystal class.

    Args:
        point_group: Hermann-Mauguin symbol of the class, with or without a setting ("32", "321").
        coefficients: d_ijk in pC/N, or e_ijk in C/m² where no d is known, in a frame whose axes lie as the standard
            wants them (`models.tensors.frames.ieee_rotation`), stored shape [3, 3, 3].

    Returns:
        The rotation; the identity in classes without a rule (without piezoelectricity, or with nothing left open) and
        where no coefficient decides.

    Source: IEEE Std 176-1987, section 3.2; the second coefficients of -4 and -6 are this function's.
    """
    rule = SENSE_RULES.get(_CLASS_OF_SETTING.get(point_group, point_group))
    given = np.asarray(coefficients, dtype=np.float64)
    if rule is None or not rule.positive or not np.isfinite(given).all() or not given.any():
        return Senses(_ONE, {}, {})
    turned = rotate(Tensor.PIEZOELECTRIC, given, np.stack(rule.rotations))
    voigt = piezo_to_voigt(turned)
    candidates = np.stack([voigt[:, int(name[1]) - 1, int(name[2]) - 1] for name in rule.positive], axis=1)
    decides = np.abs(candidates[0]) > SMALLEST_SHARE * np.abs(given).max()
    # All candidates have the same sizes: the first one whose deciding signs are all positive is the one.
    place = int(np.argmax((candidates[:, decides] > 0).all(axis=1)))
    values = list(zip(rule.positive, candidates[place].tolist(), strict=True))
    decided = dict(value for value, large in zip(values, decides, strict=True) if large)
    return Senses(rule.rotations[place], decided, dict(value for value in values if value[0] not in decided))
