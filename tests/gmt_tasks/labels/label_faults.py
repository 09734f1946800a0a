"""Faults that are planted in real label rows, each with the reason that must name it.

A fault takes right rows of one label file (val, for which the shipped model was not trained) and a generator of random
numbers, and gives the faulty batch. Repeats are rows whose labels the database holds.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gmt_tasks.labels.reasons import LabelReason as Reason
from tests.gmt_tasks.labels.label_changes import (
    Rows,
    cell,
    centred,
    each,
    elements_exchanged,
    from_another_code,
    ieee_piezo,
    ieee_stiffness,
    ionic,
    key,
    lattice_from_parameters,
    mixed,
    piezo,
    renamed,
    reordered,
    rotated,
    scattered,
    sheared,
    shifted,
    some,
    stiffness,
    strain_coefficients,
    supercell,
    susceptibility,
    times,
    upper_triangle,
    values_of,
    volume,
    with_nan,
)
from tests.gmt_tasks.labels.planted_faults import Row

BOHR = 1.8897261


@dataclass(frozen=True)
class PlantedFault:
    """A fault.

    Attributes:
        name: what was done, for people.
        file: stem of the label file whose rows are taken.
        make: the faulty batch of right rows and a random generator.
        reasons: of which one must be named, as a finding or by the rows that are refused for it.
        repeats: the rows are such as the database has labels of.
    """

    name: str
    file: str
    make: Callable[[Rows, np.random.Generator], Rows]
    reasons: tuple[Reason, ...]
    repeats: bool = False


VASP = [0, 1, 2, 5, 3, 4]
E, D, P = "elastic", "dielectric", "piezoelectric"
FRAMES = (Reason.FRAME, Reason.CELL_SETTING)
WRONG = (Reason.WRONG_CRYSTAL, Reason.SYMMETRY_MISFIT, Reason.FRAME, Reason.INCONSISTENT)

FAULTS = (
    # stiffness: units, factors, order, frame
    PlantedFault("C in kbar", E, each(times(10.0)), (Reason.UNIT_FACTOR, Reason.OUT_OF_RANGE)),
    PlantedFault("C in MPa", E, each(times(1000.0)), (Reason.OUT_OF_RANGE,)),
    PlantedFault("C in Mbar", E, each(times(0.01)), (Reason.UNIT_FACTOR,)),
    PlantedFault("C in eV/A^3", E, each(times(1 / 160.2)), (Reason.UNIT_FACTOR,)),
    PlantedFault("C halved", E, each(times(0.5)), (Reason.UNIT_FACTOR,)),
    PlantedFault("C times 1.35, new crystals", E, each(times(1.35)), (Reason.UNIT_FACTOR,)),
    PlantedFault("C times 1.35, repeats", E, each(times(1.35)), (Reason.UNIT_FACTOR,), repeats=True),
    PlantedFault("C times 1.05, repeats", E, each(times(1.05)), (Reason.UNIT_FACTOR,), repeats=True),
    PlantedFault(
        "C times 1.35 from another code", E, from_another_code(1.35, 0.04), (Reason.UNIT_FACTOR,), repeats=True
    ),
    PlantedFault("every second C in kbar", E, mixed(times(10.0)), (Reason.UNIT_FACTOR, Reason.OUT_OF_RANGE)),
    PlantedFault("one C of ten in kbar", E, some(times(10.0), 10), (Reason.UNIT_FACTOR, Reason.OUT_OF_RANGE)),
    PlantedFault(
        "C changed, K_voigt left",
        E,
        each(lambda row: {"tensor_voigt": times(1.35)(row)["tensor_voigt"]}),
        (Reason.INCONSISTENT, Reason.UNIT_FACTOR),
    ),
    PlantedFault("C in VASP's Voigt order", E, each(stiffness(reordered(VASP))), (Reason.VOIGT_ORDER,)),
    PlantedFault(
        "C in the order 11 22 33 12 13 23", E, each(stiffness(reordered([0, 1, 2, 5, 4, 3]))), (Reason.VOIGT_ORDER,)
    ),
    PlantedFault("C rotated at random", E, rotated, FRAMES),
    PlantedFault("C in the IEEE frame", E, each(ieee_stiffness), FRAMES),
    PlantedFault("C beside a cell rebuilt from lengths and angles", E, each(lattice_from_parameters), FRAMES),
    PlantedFault("C with its shear block doubled", E, each(stiffness(sheared(1, 2))), (Reason.UNIT_FACTOR,)),
    PlantedFault("C with factors 2 and 4", E, each(stiffness(sheared(2, 4))), (Reason.UNIT_FACTOR,)),
    PlantedFault("C in Mandel form", E, each(stiffness(sheared(2**0.5, 2))), (Reason.UNIT_FACTOR,)),
    PlantedFault("S in 1/TPa for C", E, each(stiffness(lambda c: 1000 * np.linalg.inv(c))), (Reason.OTHER_QUANTITY,)),
    PlantedFault("S in 1/GPa for C", E, each(stiffness(np.linalg.inv)), (Reason.OTHER_QUANTITY,)),
    PlantedFault("the upper half of C alone", E, each(stiffness(upper_triangle)), (Reason.INDEX_SYMMETRY,)),
    PlantedFault("C with its sign turned", E, each(times(-1.0)), (Reason.INDEFINITE,)),
    PlantedFault("NaN in every third C", E, some(with_nan, 3), (Reason.NONFINITE,)),
    PlantedFault("C that says kbar", E, each(key("unit", lambda row: "kbar")), (Reason.UNIT,)),
    PlantedFault("C as a list of 21", E, each(key("tensor_voigt", lambda row: [1.0] * 21)), (Reason.PARSE,)),
    # crystals and cells
    PlantedFault("lattice transposed", E, each(cell(np.transpose)), (Reason.LATTICE_TRANSPOSED,)),
    PlantedFault("cell in bohr", E, each(cell(lambda x: BOHR * x)), (Reason.CELL_UNIT,)),
    PlantedFault("cell converted from bohr twice", E, each(cell(lambda x: x / BOHR)), (Reason.CELL_UNIT,)),
    PlantedFault("cell in nm", E, each(cell(lambda x: x / 10)), (Reason.CELL_UNIT,)),
    PlantedFault("volume in bohr^3", E, each(key("volume", lambda row: volume(row) * BOHR**3)), (Reason.CELL_UNIT,)),
    PlantedFault("values of the next row", E, shifted(), WRONG),
    PlantedFault(
        "structures of the next row", E, shifted("lattice", "species", "frac_coords"), (Reason.COMPOSITION_MISMATCH,)
    ),
    PlantedFault("formulas of the next row", E, shifted("formula"), (Reason.COMPOSITION_MISMATCH,)),
    PlantedFault("space groups of the next row", E, shifted("spacegroup", "point_group"), (Reason.INCONSISTENT,)),
    PlantedFault(
        "nsites of the next row", E, each(key("nsites", lambda row: 2 * row["nsites"] + 1)), (Reason.INCONSISTENT,)
    ),
    PlantedFault("elements exchanged", E, elements_exchanged, (Reason.COMPOSITION_MISMATCH,)),
    PlantedFault("no structure", E, each(key("lattice", lambda row: None)), (Reason.NO_STRUCTURE,)),
    # moduli
    PlantedFault(
        "K and G exchanged",
        "moduli",
        each(lambda row: {"K_vrh": row["G_vrh"], "G_vrh": row["K_vrh"]}),
        (Reason.OTHER_QUANTITY,),
    ),
    PlantedFault("K and G in Mbar", "moduli", each(times(0.01)), (Reason.UNIT_FACTOR,)),
    PlantedFault("G doubled", "moduli", each(times(2.0, "G_vrh")), (Reason.UNIT_FACTOR,)),
    PlantedFault(
        "K as compressibility in 1/TPa",
        "moduli",
        each(key("K_vrh", lambda row: 1000 / row["K_vrh"])),
        (Reason.OTHER_QUANTITY,),
    ),
    PlantedFault(
        "moduli of the next crystal of the space group", "moduli", shifted(within="spacegroup"), (Reason.WRONG_CRYSTAL,)
    ),
    # dielectric tensors and constants
    PlantedFault(
        "total and electronic exchanged",
        D,
        each(lambda row: {"tensor": row["tensor_electronic"], "tensor_electronic": row["tensor"]}),
        (Reason.BELOW_ELECTRONIC,),
    ),
    PlantedFault(
        "the ionic part for the total",
        D,
        each(ionic),
        (Reason.BELOW_ELECTRONIC, Reason.OTHER_QUANTITY, Reason.INDEFINITE),
    ),
    PlantedFault(
        "electronic for total", D, each(lambda row: {"tensor": row["tensor_electronic"]}), (Reason.OTHER_QUANTITY,)
    ),
    PlantedFault("susceptibility for eps", D, each(susceptibility), (Reason.OTHER_QUANTITY, Reason.UNIT_FACTOR)),
    PlantedFault("eps in F/m", D, each(times(8.854e-12)), (Reason.UNIT_FACTOR,)),
    PlantedFault("eps times 10", D, each(times(10.0)), (Reason.UNIT_FACTOR,)),
    PlantedFault("eps times 4 pi", D, each(times(4 * np.pi)), (Reason.UNIT_FACTOR,)),
    PlantedFault("eps times 1.35", D, each(times(1.35)), (Reason.UNIT_FACTOR,)),
    PlantedFault("eps times 1.35, repeats", D, each(times(1.35)), (Reason.UNIT_FACTOR,), repeats=True),
    PlantedFault(
        "axes of eps in the order x z y",
        D,
        each(lambda row: {k: np.array(v)[[0, 2, 1]][:, [0, 2, 1]].tolist() for k, v in values_of(row).items()}),
        (*FRAMES, Reason.SYMMETRY_MISFIT),
    ),
    PlantedFault("eps beside a transposed lattice", D, each(cell(np.transpose)), (Reason.LATTICE_TRANSPOSED,)),
    PlantedFault(
        "refractive index for eps",
        "dielectric_scalar",
        each(lambda row: {key: value**0.5 for key, value in values_of(row).items()}),
        (Reason.OTHER_QUANTITY,),
    ),
    PlantedFault(
        "columns of scalar eps exchanged",
        "dielectric_scalar",
        each(lambda row: {"eps_total": row["eps_electronic"], "eps_electronic": row["eps_total"]}),
        (Reason.BELOW_ELECTRONIC,),
    ),
    PlantedFault(
        "principal values of the next row",
        "dielectric_electronic",
        shifted(),
        (Reason.SYMMETRY_MISFIT, Reason.WRONG_CRYSTAL),
    ),
    # piezoelectric tensors
    PlantedFault("e in VASP's Voigt order", P, each(piezo(reordered(VASP))), (Reason.VOIGT_ORDER,)),
    PlantedFault("e in uC/cm^2", P, each(times(100.0)), (Reason.UNIT_FACTOR, Reason.OUT_OF_RANGE)),
    PlantedFault("e in e/A^2", P, each(times(1 / 16.02)), (Reason.UNIT_FACTOR,)),
    PlantedFault("d in pC/N for e", P, strain_coefficients, (Reason.UNIT_FACTOR,)),
    PlantedFault(
        "e transposed",
        P,
        each(key("tensor", lambda row: np.transpose(row["tensor"], (1, 2, 0)).tolist())),
        (Reason.INDEX_SYMMETRY,),
    ),
    PlantedFault(
        "e with its shear columns doubled", P, each(piezo(lambda e: e * [1, 1, 1, 2, 2, 2])), (Reason.UNIT_FACTOR,)
    ),
    PlantedFault("e in the IEEE frame", P, each(ieee_piezo), FRAMES),
    PlantedFault("e rotated at random", P, rotated, FRAMES),
    PlantedFault("e of centrosymmetric crystals", P, centred, (Reason.FORBIDDEN,)),
    # batches
    PlantedFault(
        "formulas of val declared as training data",
        E,
        each(lambda row: {"split": "train", "id": f"new {row['id']}"}),
        (Reason.LEAKED_SPLIT,),
        repeats=True,
    ),
    PlantedFault("known labels under new ids, in supercells", E, renamed, (Reason.STALE,), repeats=True),
    PlantedFault("most known values replaced", E, scattered, (Reason.REPLACES,), repeats=True),
)

UNSEEN = {
    "e with its sign turned": "in most classes both signs are conventions of the axes; the loss is blind to it there",
    "clamped-ion e for total e": "|e| scatters much between alike crystals: a factor of 1.4 is found, less is not",
    "values rounded to whole GPa": "below the noise between codes; published tensors are so",
    "cubic or orthorhombic C in another shear order": "obeys the symmetry; the other rows of its part speak for it",
    "a monoclinic cell transposed": "stays monoclinic; the other rows of its part speak for it, or formula, volume and "
    "distances",
    "the values of another polymorph": "a contradiction where the polymorph is known; alone it is within the scatter",
    "a factor below 1.25 in new crystals": "within the bias of a model for one chemistry",
}
"""Faults that no row and no batch shows, and why."""


def harmless(rows: Sequence[Row]) -> Rows:
    """Right rows in other words: supercells, other units' names, formulas in another order. Nothing may be refused."""
    made = []
    for k, row in enumerate(rows):
        changed = copy.deepcopy(row) | ({} if k % 2 else supercell(row))
        made.append(changed | {"volume": volume(changed), "nsites": len(changed["species"])})
    return made
