"""Errors of gmtscreen, and the closed list of reasons why an input gives no result."""

from enum import StrEnum


class GmtError(Exception):
    """Base of every error that gmtscreen raises on purpose; its text says what, how many, which, what to do.

    Attributes:
        may_pass: True where the same call may succeed later without anybody having done anything.
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


class FilterError(GmtError):
    """A filter text is not valid; `position` is the 0-based offset in the text where it went wrong."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class Reason(StrEnum):
    """Why an input gave no result. The value goes to the database; `sentence` and `advice` are for people."""

    PARSE = "parse"
    NONFINITE = "nonfinite"
    EMPTY = "empty"
    DEGENERATE_CELL = "degenerate_cell"
    OVERLAP = "overlap"
    TOO_DENSE = "too_dense"
    TOO_LARGE = "too_large"
    DISORDERED = "disordered"
    OCCUPANCY = "occupancy"
    UNKNOWN_SPECIES = "unknown_species"
    UNSUPPORTED_ELEMENT = "unsupported_element"
    SYMMETRY_UNRESOLVED = "symmetry_unresolved"
    SYMMETRY_FAILED = "symmetry_failed"
    ARCHIVE = "archive"
    DEADLINE = "deadline"
    WORKER_DIED = "worker_died"
    OUT_OF_MEMORY = "out_of_memory"
    MODEL_FAILED = "model_failed"

    @property
    def sentence(self) -> str:
        """What is wrong, as one sentence."""
        return _TEXTS[self][0]

    @property
    def advice(self) -> str:
        """What a person can do about it, as one sentence."""
        return _TEXTS[self][1]


_TEXTS: dict[Reason, tuple[str, str]] = {
    Reason.PARSE: ("The text is not a readable crystal.", "Open it at the line named in the detail and correct it."),
    Reason.NONFINITE: (
        "A lattice or position entry is not a usable number.",
        "Re-export the structure; NaN, infinity or a number far beyond any crystal was written.",
    ),
    Reason.EMPTY: ("The crystal has no atoms.", "Check the export; an atom list is missing."),
    Reason.DEGENERATE_CELL: ("The cell has no usable volume.", "Check lengths, angles and the unit (angstrom)."),
    Reason.OVERLAP: ("Two atoms lie closer than 0.5 angstrom.", "Remove the doubled site named in the detail."),
    Reason.TOO_DENSE: ("The cell is denser than any crystal.", "Check that lengths are in angstrom."),
    Reason.TOO_LARGE: (
        "The cell and its primitive cell hold more atoms than the limit.",
        "Raise GMTSCREEN_MAX_ATOMS where memory allows, or give a smaller cell (a defect in a supercell has none).",
    ),
    Reason.DISORDERED: (
        "Some sites are partly occupied.",
        "Order the structure (for instance with a special quasirandom structure).",
    ),
    Reason.OCCUPANCY: ("Occupancies of a site sum to more than one.", "Correct the occupancies."),
    Reason.UNKNOWN_SPECIES: ("A label is no chemical element.", "Replace dummy labels by elements."),
    Reason.UNSUPPORTED_ELEMENT: (
        "The model never saw this element.",
        "Use a model trained on it, or retrain with labels for it.",
    ),
    Reason.SYMMETRY_UNRESOLVED: (
        "The file names a space group but no operations that can be resolved.",
        "Add the symmetry operations or pass --assume-p1.",
    ),
    Reason.SYMMETRY_FAILED: (
        "No space group could be determined.",
        "Try another --symprec; look for atoms that nearly coincide.",
    ),
    Reason.ARCHIVE: ("The archive breaks a bound (size, depth or path).", "Unpack it yourself and pass the files."),
    Reason.DEADLINE: ("Reading took longer than the deadline.", "Simplify the file or raise the deadline."),
    Reason.WORKER_DIED: (
        "The worker process died on this crystal.",
        "Report it with the structure; it is kept apart so that the rest goes on.",
    ),
    Reason.OUT_OF_MEMORY: (
        "This crystal alone does not fit into the memory that a worker has.",
        "Give the primitive cell, take fewer --workers, or compute it with more memory (GMTSCREEN_DEVICE=cpu).",
    ),
    Reason.MODEL_FAILED: (
        "The model raised or gave non-finite numbers for this crystal.",
        "Report it with the structure; check that it resembles the training data.",
    ),
}
