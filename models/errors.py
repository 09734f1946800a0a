"""Errors of gmtscreen, and the closed list of reasons why an input gives no result."""

from enum import StrEnum
from typing import Self


class GmtError(Exception):
    """Base of every error that gmtscreen raises on purpose; its text says what, how many, which, what to do.

    Attributes:
        may_pass: True where the same call may succeed later without any change.
    """

    may_pass: bool = False


class UnphysicalTensorError(GmtError):
    """Some tensors break a physical law that the calculation needs; `rows` names them."""

    def __init__(self, message: str, rows: list[int]) -> None:
        super().__init__(message)
        self.rows = rows


class ModelError(GmtError):
    """A model, its configuration or its checkpoint cannot be used."""


class SourceError(GmtError):
    """A source as a whole cannot be read (no such file, unknown name, unreadable container)."""


class StoreError(GmtError):
    """The database cannot be used or refuses a statement."""


class MissingError(StoreError):
    """What was asked for by its name is not in the database."""


class FilterError(GmtError):
    """A filter text is not valid; `position` is the 0-based offset in the text where it went wrong."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class Reason(StrEnum):
    """Why an input gave no result.

    Attributes:
        sentence: what is wrong, as one sentence.
        advice: what a person can do about it, as one sentence.
    """

    sentence: str
    advice: str

    def __new__(cls, value: str, sentence: str = "", advice: str = "") -> Self:
        """A reason by its value, which goes to the database; the texts are for people."""
        reason = str.__new__(cls, value)
        reason._value_ = value
        # texts may be reworded: only the value is compared and stored
        reason.sentence, reason.advice = sentence, advice
        return reason

    PARSE = ("parse", "The text is not a readable crystal.", "Open it at the line named in the detail and correct it.")
    NONFINITE = (
        "nonfinite",
        "A lattice or position entry is not a usable number.",
        "Re-export the structure; NaN, infinity or a number far beyond any crystal was written.",
    )
    EMPTY = ("empty", "The crystal has no atoms.", "Check the export; an atom list is missing.")
    DEGENERATE_CELL = (
        "degenerate_cell",
        "The cell has no usable volume.",
        "Check lengths, angles and the unit (angstrom).",
    )
    OVERLAP = ("overlap", "Two atoms lie closer than 0.5 angstrom.", "Remove the doubled site named in the detail.")
    TOO_DENSE = ("too_dense", "The cell is denser than any crystal.", "Check that lengths are in angstrom.")
    TOO_LARGE = (
        "too_large",
        "The cell and its primitive cell hold more atoms than the limit.",
        "Raise GMTSCREEN_MAX_ATOMS where memory allows, or give a smaller cell (a defect in a supercell has none).",
    )
    DISORDERED = (
        "disordered",
        "Some sites are partly occupied.",
        "Order the structure (for instance with a special quasirandom structure).",
    )
    OCCUPANCY = ("occupancy", "Occupancies of a site sum to more than one.", "Correct the occupancies.")
    UNKNOWN_SPECIES = ("unknown_species", "A label is no chemical element.", "Replace dummy labels by elements.")
    AMBIGUOUS_SPECIES = (
        "ambiguous_species",
        "A label may mean more than one element, and the file does not say which.",
        "Add _atom_site_type_symbol, or the formula of the crystal.",
    )
    COMPOSITION_MISMATCH = (
        "composition_mismatch",
        "What the file says of its composition contradicts the atoms it lists.",
        "Check formula, occupancies and symmetry; add the atoms that are missing.",
    )
    UNSUPPORTED_ELEMENT = (
        "unsupported_element",
        "The model was not trained on this element.",
        "Use a model that was, or retrain with labels for it.",
    )
    SYMMETRY_UNRESOLVED = (
        "symmetry_unresolved",
        "The symmetry of the file cannot be resolved, or can be in more than one way.",
        "Add the symmetry operations to the file, or the setting to the name of the space group.",
    )
    SYMMETRY_CONTRADICTS_CELL = (
        "symmetry_contradicts_cell",
        "The symmetry operations do not leave the cell as it is.",
        "Check angles, axes (hexagonal or rhombohedral, unique axis) and the setting of the space group.",
    )
    SYMMETRY_FAILED = (
        "symmetry_failed",
        "No space group could be determined.",
        "Try another --symprec; look for atoms that nearly coincide.",
    )
    TOO_CLOSE = (
        "too_close",
        "Two atoms of a made crystal are far closer than their covalent radii allow.",
        "Leave it out, or relax it first; the pair is named in the detail.",
    )
    UNUSUAL_VOLUME = (
        "unusual_volume",
        "The volume of a made crystal is far from that of any crystal of its elements.",
        "Scale the cell to the volume named in the detail, or relax it first.",
    )
    CHARGE_UNBALANCED = (
        "charge_unbalanced",
        "The elements of a made crystal have no oxidation states that sum to zero.",
        "Change the ratio of the elements; give the crystal as a file where you know that it exists.",
    )
    SPACEGROUP_CHANGED = (
        "spacegroup_changed",
        "A made crystal does not have the space group that it was made in.",
        "Look at its free positions and cell lengths; near a special position the group is another one.",
    )
    IN_TRAINING_DATA = (
        "in_training_data",
        "A made crystal is one of those that its generator or the model was trained on.",
        "It is known: look it up instead of computing it as a discovery.",
    )
    ABOVE_HULL = (
        "above_hull",
        "The energy of a made crystal lies far above that of known crystals of its elements.",
        "It would decompose; relax it first where its cell is only a guess.",
    )
    ARCHIVE = ("archive", "The archive breaks a bound (size, depth or path).", "Unpack it yourself and pass the files.")
    DEADLINE = ("deadline", "Reading took longer than the deadline.", "Simplify the file or raise the deadline.")
    WORKER_DIED = (
        "worker_died",
        "The worker process died on this crystal.",
        "Report it with the structure; it is kept apart so that the rest goes on.",
    )
    OUT_OF_MEMORY = (
        "out_of_memory",
        "This crystal alone does not fit into the memory that a worker has.",
        "Give the primitive cell, take fewer --workers, or compute it with more memory (GMTSCREEN_DEVICE=cpu).",
    )
    GENERATION_FAILED = (
        "generation_failed",
        "The generator gave this crystal up.",
        "Nothing is wrong with the run: ask for more crystals, for more atoms per cell or for other space groups.",
    )
    RELAXATION_FAILED = (
        "relaxation_failed",
        "The potential does not lead this crystal to a relaxed cell.",
        "Look at distances and volume of the structure: such a crystal is no stable arrangement of its atoms.",
    )
    MODEL_FAILED = (
        "model_failed",
        "The model raised or gave non-finite numbers for this crystal.",
        "Report it with the structure; check that it resembles the training data.",
    )


class Doubt(StrEnum):
    """What is doubtful about an input that was read; the name of a note, stored with the input, and a filter.

    Attributes:
        sentence: what is doubted, as one sentence.
    """

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> Self:
        """A doubt by its value, which goes to the database; the sentence is for people."""
        doubt = str.__new__(cls, value)
        doubt._value_ = value
        doubt.sentence = sentence
        return doubt

    COMPOSITION = ("composition_doubt", "Formula, formula units or density of the file do not fit the atoms read.")
    SPECIES = ("species_doubt", "An element was concluded from a label or a comment, or a site was left out.")
    SYMMETRY = ("symmetry_doubt", "The symmetry had to be concluded, or the file contradicts itself about it.")
    CELL = ("cell_doubt", "The cell fits its symmetry, its stated volume or its number of atoms only roughly.")
    PERIODICITY = ("periodicity_doubt", "The file is not periodic along every axis, and was read as if it were.")
