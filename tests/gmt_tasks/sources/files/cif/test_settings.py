"""Names of space groups: every setting by its names, and no more settings than a name may mean."""

import pytest
import spglib

from gmt_tasks.sources.files.cif.settings import (
    SETTINGS,
    operations_of_hall,
    settings_of_name,
    settings_of_number,
    settings_with_code,
)
from models.symmetry.fractional_operations import Operations


def names(text: str) -> list[str]:
    return [setting.name for setting in settings_of_name(text)]


def test_every_setting_is_found_by_its_own_name_alone() -> None:
    assert [setting.name for setting in SETTINGS if settings_of_name(setting.name) != (setting,)] == []


@pytest.mark.parametrize("hall_number", range(1, 531, 3))
def test_spglib_has_the_same_operations_for_a_hall_symbol_and_its_names_find_it(hall_number: int) -> None:
    kind = spglib.get_spacegroup_type(hall_number)
    theirs = spglib.get_symmetry_from_database(hall_number)
    ours = operations_of_hall(kind.hall_symbol)
    assert ours is not None and ours.is_group
    assert ours.key == Operations(theirs["rotations"].astype(int), theirs["translations"] % 1.0).key
    for text in (kind.international_full, kind.international.split("=")[-1].strip()):
        keys = set()
        for setting in settings_of_name(text.replace("_", "")):
            operations = operations_of_hall(setting.hall)
            assert operations is not None
            keys.add(operations.key)
        assert ours.key in keys, text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("R -3 m", ["R -3 m:H", "R -3 m:R"]),
        ("R-3mR", ["R -3 m:R"]),
        ("R -3 m H", ["R -3 m:H"]),
        ("R -3 m HR", ["R -3 m:H"]),
        ("R 3 RS", ["R 3:R"]),
        ("R 3 2", ["R 3 2:H", "R 3 2:R"]),
        ("R32h", ["R 3 2:H"]),
        ("H -3 m", ["R -3 m:H"]),
        ("r -3 c (hexagonal axes)", ["R -3 c:H"]),
        ("F d -3 m Z", ["F d -3 m:2"]),
        ("Fd-3mS", ["F d -3 m:1"]),
        ("F d -3 m (origin choice 2)", ["F d -3 m:2"]),
        ("F d -3 m O1", ["F d -3 m:1"]),
        ("F 41/d -3 2/m", ["F d -3 m:1", "F d -3 m:2"]),
        ("Fd3m", ["F d -3 m:1", "F d -3 m:2"]),
        ("F m -3 m S", ["F m -3 m"]),
        ("P 21/n 21/m 21/a", ["P n m a"]),
        ("P -3 2/m 1", ["P -3 m 1"]),
        ("P 21/a", ["P 1 21/a 1", "P 1 1 21/a"]),
        ("P2(1)/c", ["P 1 21/c 1", "P 21/c 1 1"]),
        ("P 6_3/mmc", ["P 63/m m c"]),
        ("P 63/m m c (194)", ["P 63/m m c"]),
        ("C m c e", ["C m c a"]),
        ("C m m e", ["C m m a", "C m m b"]),
        ("Q 9 9 9", []),
        ("", []),
        ("e", []),
    ],
)
def test_a_name_means_the_settings_that_it_leaves_open(text: str, expected: list[str]) -> None:
    assert names(text) == expected


def test_a_coordinate_system_code_chooses() -> None:
    monoclinic = settings_of_number(14)
    assert [setting.name for setting in settings_with_code(monoclinic, "b2")] == ["P 1 21/n 1"]
    assert [setting.name for setting in settings_with_code(settings_of_number(227), "2")] == ["F d -3 m:2"]
    assert [setting.name for setting in settings_with_code(settings_of_number(166), "r")] == ["R -3 m:R"]
    assert settings_with_code(monoclinic, "nonsense") == ()


def test_a_text_that_is_no_hall_symbol_has_no_operations() -> None:
    assert operations_of_hall("garbage") is None
