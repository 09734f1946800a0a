"""Which operations a CIF means: those that it lists, those of the space group that it names, or several candidates."""

from dataclasses import dataclass

from gmt_tasks.sources.files.cif.items import Items, parse_number
from gmt_tasks.sources.files.cif.operations import MAGNETIC_ITEMS, OPERATION_ITEMS, listed_operations
from gmt_tasks.sources.files.cif.settings import (
    SETTINGS,
    Setting,
    operations_of_hall,
    settings_of_name,
    settings_of_number,
    settings_with_code,
    settings_with_symbol,
)
from gmt_tasks.sources.parsed import RefusedInputError
from gmt_tasks.sources.source import MissingSymmetry
from models.errors import Doubt, Reason
from models.symmetry.fractional_operations import IDENTITY, Operations

_HERMANN_MAUGUIN = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_symmetry_space_group_name_h_m",
    "_space_group_name_h_m_alt",
)
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number")
_CODE = ("_space_group_it_coordinate_system_code", "_space_group_it_coordinate_system_code_value")
_MODULATED = (
    "_cell_modulation_dimension",
    "_cell_subsystem",
    "_cell_wave_vector",
    "_space_group_ssg",
    "_space_group_symop_ssg",
    "_space_group_magn_ssg",
    "_space_group_symop_magn_ssg",
    "_atom_site_fourier",
    "_atom_site_displace_fourier",
)
_ANY_NAME = ("_space_group_name", "_symmetry_space_group_name", "_space_group_magn_name", "_space_group_magn_number")
_MONOCLINIC = range(3, 16)


@dataclass(frozen=True)
class Candidate:
    """A set of operations that the file may mean.

    Attributes:
        operations: a group.
        name: for messages, e.g. "the operations listed" or "F d -3 m:2".
        note: why it is only a guess, as a doubt; empty where the file says it plainly.
        number: of the space group; 0 where it is not known.
        lists_all_atoms: whether the sites may be all atoms of the cell already.
    """

    operations: Operations
    name: str
    note: str = ""
    number: int = 0
    lists_all_atoms: bool = False


Candidates = list[list[Candidate]]
"""Candidates in tiers: a later tier counts only where no candidate of an earlier one leaves the cell as it is."""


def refuse_modulated(items: Items) -> None:
    """Raises for an incommensurate structure: its sites are those of an average that does not exist."""
    for name in items.starting_with(*_MODULATED):
        if items.text(name) not in ("", "0"):
            detail = f"{items.line(name)}{name}: a modulated structure has no unit cell"
            raise RefusedInputError(Reason.PARSE, detail)


def is_magnetic(items: Items) -> bool:
    """Whether the block lists operations with time reversal."""
    return any(items.column(name) for name in MAGNETIC_ITEMS)


def find_candidates(items: Items, missing: MissingSymmetry) -> Candidates:
    """All that the block may mean by what it says of its symmetry.

    Args:
        items: the block.
        missing: what to do with a space group that nobody knows.

    Raises:
        RefusedInputError: `symmetry_unresolved`.
    """
    settings, guess, contradiction = _named_settings(items)
    listed = listed_operations(items)
    if listed is not None:
        return _with_listed(items, listed, settings, contradiction)
    if settings:
        is_named = bool(items.text(*_HERMANN_MAUGUIN))
        return _with_settings(settings, contradiction or guess, is_named=is_named)
    hall = items.text(*_HALL)
    if hall and (operations := operations_of_hall(hall)) is not None:
        return [[Candidate(operations, f"Hall symbol {hall!r}", contradiction)]]
    return [[_without_symmetry(items, missing)]]


def _with_settings(settings: tuple[Setting, ...], name_note: str, *, is_named: bool) -> Candidates:
    """Candidates of a block that names its space group, or gives its number: then no cell choice is the usual one."""
    literal = [_candidate(setting, name_note) for setting in settings]
    note = f"{Doubt.SYMMETRY}: the setting named does not fit the cell, another one of the same space group does"
    standard = [
        candidate
        for candidate, setting in zip(literal, settings, strict=True)
        if is_named and setting.is_standard and setting.number in _MONOCLINIC and len(settings) > 1
    ]
    if standard:
        # A short symbol such as "C 2" is the name of the type too: along another axis it may be any of its settings.
        others = [_candidate(other, note) for other in settings_of_number(standard[0].number)]
        return [standard, _distinct([*literal, *others])]
    # Axes or origin of the extension are easily mistaken; a full symbol leaves nothing else open.
    same_symbol = [_candidate(other, note) for setting in settings for other in settings_with_symbol(setting)]
    return [_distinct(literal), _distinct(same_symbol)]


def _with_listed(items: Items, listed: Operations, settings: tuple[Setting, ...], contradiction: str) -> Candidates:
    """Candidates of a block that lists operations: these, and where they contradict its name, also the name's."""
    named = _distinct([_candidate(setting, contradiction) for setting in settings])
    same = [candidate for candidate in named if candidate.operations.key == listed.key]
    if same:
        plain = Candidate(listed, "the operations listed", contradiction, same[0].number)
        others = [candidate for candidate in named if candidate.operations.key != listed.key]
        note = f"{Doubt.SYMMETRY}: the operations listed do not fit the cell, those of another setting do"
        return [[plain], [_with_note(candidate, note) for candidate in others]]
    names = " or ".join(candidate.name for candidate in named[:3])
    if not listed.is_group:
        note = f"{Doubt.SYMMETRY}: the operations listed are no group, read as {{}}"
        complete = [
            _with_note(other, note.format(other.name)) for other in named if other.operations.n_ops > listed.n_ops
        ]
        if not complete:
            where = next(items.line(name) for name in (*MAGNETIC_ITEMS, *OPERATION_ITEMS) if items.column(name))
            detail = f"{where}the {listed.n_ops} operations listed are no group: products of them are missing"
            raise RefusedInputError(Reason.SYMMETRY_UNRESOLVED, detail)
        return [complete]
    if not named or is_magnetic(items):
        return [[Candidate(listed, "the operations listed")]]
    note = f"{Doubt.SYMMETRY}: the {listed.n_ops} operations listed are not those of {names}"
    plain = Candidate(listed, "the operations listed", note)
    rivals = [
        Candidate(rival.operations, rival.name, f"{note}, which were taken", rival.number, lists_all_atoms=True)
        for rival in named
        if rival.operations.n_ops != listed.n_ops
    ]
    note = f"{Doubt.SYMMETRY}: the operations listed do not fit the cell, those of the name do"
    return [[plain, *rivals], [_with_note(candidate, note) for candidate in named]]


def _named_settings(items: Items) -> tuple[tuple[Setting, ...], str, str]:
    """The settings that names and numbers leave open, and two doubts: a guess, and that they contradict each other.

    Operations or a Hall symbol make the guess needless, but not the contradiction.
    """
    settings, contradiction = _settings_of_names(items.texts(*_HERMANN_MAUGUIN))
    name, halls = items.text(*_HERMANN_MAUGUIN), items.texts(*_HALL)
    values = dict.fromkeys(parse_number(text) for text in items.texts(*_NUMBER))
    numbers = [int(value) for value in values if value is not None and value in range(1, 231)]
    settings, guess, of_number = _with_number(settings, name, numbers[0] if numbers else 0)
    contradiction = contradiction or of_number
    if len(numbers) > 1:
        contradiction = contradiction or f"{Doubt.SYMMETRY}: the numbers are {numbers[0]} and {numbers[1]}"
    if code := items.text(*_CODE):
        settings = settings_with_code(settings, code) or settings
    groups = [operations for hall in halls if (operations := operations_of_hall(hall)) is not None]
    if not groups:
        return settings, guess, contradiction
    if len({operations.key for operations in groups}) > 1:
        contradiction = contradiction or f"{Doubt.SYMMETRY}: the Hall symbols are {halls[0]!r} and {halls[1]!r}"
    # A Hall symbol leaves nothing open; one of the table is one of its settings.
    same = [setting for setting in settings or SETTINGS if _operations(setting).key == groups[0].key]
    if not same and settings:
        of_hall = f"{Doubt.SYMMETRY}: the Hall symbol {halls[0]!r} is none of {name or settings[0].number!r}"
        return settings, guess, contradiction or of_hall
    return tuple(same[:1]), "", contradiction


def _settings_of_names(names: list[str]) -> tuple[tuple[Setting, ...], str]:
    """The settings that all Hermann-Mauguin symbols of a block may mean, else those of any, with a doubt."""
    known = [(name, settings) for name in names if (settings := settings_of_name(name))]
    if not known:
        return (), ""
    shared = set.intersection(*(set(settings) for _, settings in known))
    if shared:
        return tuple(setting for setting in known[0][1] if setting in shared), ""
    union = tuple(dict.fromkeys(setting for _, settings in known for setting in settings))
    return union, f"{Doubt.SYMMETRY}: the names {known[0][0]!r} and {known[-1][0]!r} contradict each other"


def _with_number(settings: tuple[Setting, ...], name: str, number: int) -> tuple[tuple[Setting, ...], str, str]:
    """The settings of a Hermann-Mauguin symbol and a number (0: none), a guess, and that the two do not agree."""
    if not number:
        return settings, "", ""
    if settings:
        fitting = tuple(setting for setting in settings if setting.number == number)
        if fitting:
            return fitting, "", ""
        note = f"{Doubt.SYMMETRY}: the name is {name!r}, the number {number}"
        return (*settings, *settings_of_number(number)), "", note
    candidates = settings_of_number(number)
    if not name:
        note = f"{Doubt.SYMMETRY}: only the number {number} of the space group is known"
        return candidates, note if len(candidates) > 1 else "", ""
    # A symbol that is in no table may be a setting that is in none: at least its centring must be that of a candidate.
    candidates = tuple(setting for setting in candidates if setting.name[0] == name.strip()[0].upper())
    return candidates, f"{Doubt.SYMMETRY}: the name {name!r} is unknown, read by its number {number}", ""


def _operations(setting: Setting) -> Operations:
    """The operations of a setting of the table."""
    operations = operations_of_hall(setting.hall)
    if operations is None:
        raise RefusedInputError(Reason.SYMMETRY_UNRESOLVED, f"no operations for {setting.name}")
    return operations


def _candidate(setting: Setting, note: str) -> Candidate:
    """A setting as a candidate."""
    return Candidate(_operations(setting), setting.name, note, setting.number)


def _with_note(candidate: Candidate, note: str) -> Candidate:
    return Candidate(candidate.operations, candidate.name, note, candidate.number)


def _distinct(candidates: list[Candidate]) -> list[Candidate]:
    """The candidates, those with the same operations once."""
    return list({candidate.operations.key: candidate for candidate in reversed(candidates)}.values())[::-1]


def _without_symmetry(items: Items, missing: MissingSymmetry) -> Candidate:
    """The identity alone, where the block says nothing of symmetry or the user allows it."""
    names = (*_HERMANN_MAUGUIN, *_HALL, *_NUMBER, *items.starting_with(*_ANY_NAME))
    said = {name: value for name in names if (value := items.text(name))}
    if not said:
        note = f"{Doubt.SYMMETRY}: no space group and no operations, read as P 1"
        return Candidate(IDENTITY, "P 1", note, 1)
    if missing is MissingSymmetry.ASSUME_P1:
        note = f"{Doubt.SYMMETRY}: the space group is unknown, read as P 1 as asked"
        return Candidate(IDENTITY, "P 1", note, 1)
    name, value = next(iter(said.items()))
    detail = f"{items.line(name)}{name} {value[:60]!r} is unknown and no operations are listed"
    # In a centred cell no file lists every atom: read as P 1 it would be another crystal.
    if value.strip()[:1].upper() == "P":
        detail += "; if the file lists every atom of the cell, --assume-p1 reads it so"
    raise RefusedInputError(Reason.SYMMETRY_UNRESOLVED, detail)
