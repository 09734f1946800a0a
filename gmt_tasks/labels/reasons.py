"""The closed list of reasons why a label is not accepted or is marked, each with what is wrong and what to do."""

from enum import StrEnum


class LabelReason(StrEnum):
    """Why a label is refused or marked. The value goes to the database; `sentence` and `advice` are for people."""

    PARSE = "parse"
    UNKNOWN_KIND = "unknown_kind"
    UNIT = "unit"
    NONFINITE = "nonfinite"
    NO_STRUCTURE = "no_structure"
    STRUCTURE = "structure"
    UNCONVERGED = "unconverged"
    INCOMPLETE = "incomplete"
    WRONG_ID = "wrong_id"
    SYMMETRY_FAILED = "symmetry_failed"
    COMPOSITION_MISMATCH = "composition_mismatch"
    LATTICE_TRANSPOSED = "lattice_transposed"
    CELL_UNIT = "cell_unit"
    OUT_OF_RANGE = "out_of_range"
    INDEX_SYMMETRY = "index_symmetry"
    VOIGT_ORDER = "voigt_order"
    FRAME = "frame"
    CELL_SETTING = "cell_setting"
    FORBIDDEN = "forbidden"
    SYMMETRY_MISFIT = "symmetry_misfit"
    INDEFINITE = "indefinite"
    BELOW_ELECTRONIC = "below_electronic"
    INCONSISTENT = "inconsistent"
    UNIT_FACTOR = "unit_factor"
    OTHER_QUANTITY = "other_quantity"
    WRONG_CRYSTAL = "wrong_crystal"
    DUPLICATE = "duplicate"
    CONTRADICTION = "contradiction"
    SUPERSEDED = "superseded"
    LEAKED_SPLIT = "leaked_split"
    STALE = "stale"
    REPLACES = "replaces"
    RETRACTED = "retracted"
    LABEL_BATCH = "instalment"

    @property
    def sentence(self) -> str:
        """What is wrong, as one sentence."""
        return _TEXTS[self][0]

    @property
    def advice(self) -> str:
        """What a person can do about it, as one sentence."""
        return _TEXTS[self][1]


_TEXTS: dict[LabelReason, tuple[str, str]] = {
    LabelReason.PARSE: ("The row is no readable label.", "Correct the keys and shapes named in the detail."),
    LabelReason.UNKNOWN_KIND: (
        "Nothing is learned from labels of this kind.",
        "Take one of the kinds listed in docs/labels.md.",
    ),
    LabelReason.UNIT: ("The unit is not that of the kind.", "Convert to relative, C/m^2 or GPa."),
    LabelReason.NONFINITE: (
        "An entry of the label is no finite number.",
        "Look at the calculation: it did not finish or was read wrongly.",
    ),
    LabelReason.NO_STRUCTURE: (
        "The tensor comes without the structure whose frame it is in.",
        "Fetch the structure of the calculation itself, not that of the crystal's summary.",
    ),
    LabelReason.STRUCTURE: ("The structure is no crystal that can be computed.", "Correct what the detail names."),
    LabelReason.UNCONVERGED: (
        "The calculation did not finish or did not converge.",
        "Let it finish, with more electronic steps (NELM) or another algorithm, and bring it again.",
    ),
    LabelReason.INCOMPLETE: (
        "The calculation gives a part of the tensor only.",
        "Calculate the ionic part too: LEPSILON with IBRION = 8, or IBRION = 6 with ISIF = 3, without fixed ions.",
    ),
    LabelReason.WRONG_ID: (
        "The crystal is not the one whose content id the row carries.",
        "Look whether the answers of two jobs were exchanged; a crystal that became another needs an id of its own.",
    ),
    LabelReason.SYMMETRY_FAILED: (
        "No space group of the structure could be determined.",
        "Look for atoms that nearly coincide.",
    ),
    LabelReason.COMPOSITION_MISMATCH: (
        "The formula of the row is not that of its structure.",
        "Look whether rows and structures were joined by the right ids.",
    ),
    LabelReason.LATTICE_TRANSPOSED: (
        "The lattice is given transposed: columns where rows a, b, c belong.",
        "Exchange rows and columns of the lattice.",
    ),
    LabelReason.CELL_UNIT: (
        "The cell is not in angstrom.",
        "Convert it: 1 bohr is 0.529177 angstrom, 1 nm is 10 angstrom.",
    ),
    LabelReason.OUT_OF_RANGE: (
        "A value lies beyond that of any crystal.",
        "Look at the calculation; it did not converge, or the unit is another one.",
    ),
    LabelReason.INDEX_SYMMETRY: (
        "The array lacks the index symmetry of its tensor.",
        "Look for transposed axes or an incomplete tensor.",
    ),
    LabelReason.VOIGT_ORDER: (
        "The tensor obeys the crystal's symmetry only in another Voigt order.",
        "Bring it to the order 11, 22, 33, 23, 13, 12.",
    ),
    LabelReason.FRAME: (
        "The tensor obeys the crystal's symmetry only after a rotation.",
        "Rotate it into the frame of the lattice beside it.",
    ),
    LabelReason.CELL_SETTING: (
        "The tensor belongs to another setting of the cell.",
        "Store the lattice that the calculation used.",
    ),
    LabelReason.FORBIDDEN: (
        "The crystal's symmetry forbids this tensor altogether.",
        "Look whether structure and tensor belong to the same crystal.",
    ),
    LabelReason.SYMMETRY_MISFIT: (
        "The tensor disagrees with the crystal's symmetry, in every known frame and order.",
        "Look whether structure and tensor belong to the same calculation.",
    ),
    LabelReason.INDEFINITE: (
        "The tensor is not positive definite, or a dielectric constant lies below that of vacuum.",
        "The crystal is unstable as computed or the calculation is wrong: relax further or leave it out.",
    ),
    LabelReason.BELOW_ELECTRONIC: (
        "The total dielectric tensor lies below its electronic part.",
        "Look whether the two were exchanged, or only the ionic part is given.",
    ),
    LabelReason.INCONSISTENT: (
        "Values of one row contradict each other.",
        "Look at how they were derived; bounds or eigenvalues are named in the detail.",
    ),
    LabelReason.UNIT_FACTOR: (
        "The values differ by a factor of units from everything known about the crystal.",
        "Convert: 10 kbar are 1 GPa, 100 uC/cm^2 are 1 C/m^2; where the known labels are wrong, retract their batch.",
    ),
    LabelReason.OTHER_QUANTITY: (
        "The values are those of another quantity than the row says.",
        "Give the quantity that the kind names; the detail says which one it seems to be.",
    ),
    LabelReason.WRONG_CRYSTAL: (
        "The values have nothing to do with what is expected of their crystals.",
        "Look whether values and structures were joined by the right ids.",
    ),
    LabelReason.DUPLICATE: (
        "The same crystal has the same label already.",
        "Nothing: the label is kept with its provenance and counts once.",
    ),
    LabelReason.CONTRADICTION: (
        "Another source gives another value for the same crystal.",
        "Compute it anew, or rely on the rule in docs/labels.md.",
    ),
    LabelReason.SUPERSEDED: (
        "The same source has since given another value under the same id.",
        "Nothing: the newer value is trained on.",
    ),
    LabelReason.LEAKED_SPLIT: (
        "The row is declared as training data, but its formula belongs to val or test.",
        "Remove the key `split` from the rows: each then goes where its formula is.",
    ),
    LabelReason.STALE: (
        "The label batch brings nothing that is not known already.",
        "Look whether an old export was delivered again.",
    ),
    LabelReason.REPLACES: (
        "The label batch would take the place of many labels that are accepted.",
        "Look at what would change; if the new values are right, bring it again with --replace.",
    ),
    LabelReason.RETRACTED: (
        "Somebody took back the label batch that brought it.",
        "Ask who retracted it; if the labels are right after all, bring them again with --again.",
    ),
    LabelReason.LABEL_BATCH: (
        "The row may be right; the label batch that brought it was refused as a whole.",
        "Correct what the report says of the batch and bring it again.",
    ),
}
