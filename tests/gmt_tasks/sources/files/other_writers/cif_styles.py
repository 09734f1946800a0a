"""CIFs as databases, drawing programs and refinement programs lay them out; every template is our own."""

from collections.abc import Callable, Sequence

import gemmi

from tests.gmt_tasks.sources.files.other_writers.asymmetric import Asymmetric, Site

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_FRACTIONS = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_CHARGES = {"O": "2-", "S": "2-", "F": "1-", "Cl": "1-", "Na": "1+", "K": "1+", "Mg": "2+", "Al": "3+", "Ti": "4+"}


def _pairs(*rows: tuple[str, object]) -> list[str]:
    return [f"{name:<34}{value}" for name, value in rows]


def _loop(names: Sequence[str], rows: Sequence[str]) -> list[str]:
    return ["loop_", *names, *rows]


def _cell(crystal: Asymmetric, digits: int = 5, suffix: str = "") -> list[str]:
    rows = [
        (f"_cell_{name}", f"{value:.{digits}f}{suffix}") for name, value in zip(_CELL, crystal.parameters, strict=True)
    ]
    return _pairs(*rows)


def _position(site: Site, digits: int, suffix: str = "") -> str:
    """Coordinates; those that are free carry an uncertainty where a suffix is given."""
    texts = []
    for value in site.position:
        is_special = abs(value * 24 - round(value * 24)) < 1e-6
        texts.append(f"{value:.{digits}f}{'' if is_special else suffix}")
    return " ".join(texts)


def _full_name(crystal: Asymmetric) -> str:
    """The full symbol with the choice of origin or axes behind a colon."""
    suffix = f":{crystal.kind.choice}" if crystal.kind.choice in ("1", "2", "H", "R") else ""
    return crystal.kind.international_full.replace("_", "") + suffix


def _short_name(crystal: Asymmetric) -> str:
    return str(crystal.kind.international_short).replace("_", "")


def _spaced(crystal: Asymmetric) -> str:
    """The symbol with blanks, without its choice."""
    return crystal.kind.international.split("=")[-1].strip().replace("_", "")


def _with_blanks(operations: Sequence[str]) -> list[str]:
    return [operation.replace(",", ", ") for operation in operations]


def _translation_first(operation: str) -> str:
    """Parts such as "x+1/2" as "1/2+x"."""
    parts = []
    for part in operation.split(","):
        rest, plus, shift = part.rpartition("+")
        parts.append(f"{shift}{'' if rest.startswith('-') else '+'}{rest}" if plus and "/" in shift else part)
    return ",".join(parts)


def vesta(crystal: Asymmetric) -> str:
    """VESTA: indented loops, occupancy before the position, Biso, the type symbol last."""
    sites = [f"   {site.label:<8} 1.0    {_position(site, 6)}  Biso  1.000000 {site.symbol}" for site in crystal.sites]
    bar = "#" + "=" * 70
    return "\n".join(
        [
            *(bar, "# CRYSTAL DATA", bar, "data_VESTA_phase_1", ""),
            *_pairs(("_chemical_name_common", f"'{crystal.formula}'")),
            *_cell(crystal, 6),
            *_pairs(("_cell_volume", f"{crystal.structure.volume:.6f}")),
            *_pairs(("_space_group_name_H-M_alt", f"'{_spaced(crystal)}'")),
            *_pairs(("_space_group_IT_number", crystal.kind.number)),
            "",
            *_loop(
                ["_space_group_symop_operation_xyz"],
                [f"   '{text}'" for text in _with_blanks(crystal.operations)],
            ),
            "",
            *_loop(
                [
                    *("   _atom_site_label", "   _atom_site_occupancy", *(f"   {name}" for name in _FRACTIONS)),
                    *("   _atom_site_adp_type", "   _atom_site_B_iso_or_equiv", "   _atom_site_type_symbol"),
                ],
                sites,
            ),
            "",
        ]
    )


def materials_studio(crystal: Asymmetric) -> str:
    """Materials Studio: P1 with every atom, a bond loop behind."""
    listing = crystal.listing()
    sites = [f"{site.label:<6} {site.symbol:<5} {_position(site, 5)}   0.00000  Uiso   1.00" for site in listing.sites]
    bonds = [f"{listing.sites[0].label}   {site.label}   2.000   1_655 S" for site in listing.sites[:4]]
    names = [f"_geom_bond_{name}" for name in ("atom_site_label_1", "atom_site_label_2", "distance")]
    return "\n".join(
        [
            "data_" + crystal.formula.replace(" ", ""),
            *_pairs(("_audit_creation_date", "2011-06-01"), ("_audit_creation_method", "'Materials Studio'")),
            *_pairs(("_symmetry_space_group_name_H-M", "'P1'"), ("_symmetry_Int_Tables_number", 1)),
            *_pairs(("_symmetry_cell_setting", "triclinic")),
            *_loop(["_symmetry_equiv_pos_as_xyz"], ["  x,y,z"]),
            *_cell(listing, 4),
            *_loop(
                [
                    *("_atom_site_label", "_atom_site_type_symbol", *_FRACTIONS, "_atom_site_U_iso_or_equiv"),
                    *("_atom_site_adp_type", "_atom_site_occupancy"),
                ],
                sites,
            ),
            *_loop([*names, "_geom_bond_site_symmetry_2", "_ccdc_geom_bond_type"], bonds),
            "",
        ]
    )


def icsd(crystal: Asymmetric) -> str:
    """ICSD: suffixes S, Z, H, R; uncertainties; multiplicities and letters; charged type symbols; H shared with D."""
    suffix = {"1": " S", "2": " Z", "H": " H", "R": " R"}.get(crystal.kind.choice, "")
    species = [site.symbol + _CHARGES.get(site.symbol, "0+") for site in crystal.sites]
    rows = []
    for site, name in zip(crystal.sites, species, strict=True):
        place = f"{site.multiplicity} {site.wyckoff} {_position(site, 5, '(3)')} ."
        if site.number == 1:
            rows += [f"D{site.label[1:]} D1- {place} 0.97(1) 0", f"{site.label} H1- {place} 0.03(1) 0"]
        else:
            rows.append(f"{site.label} {name} {place} 1. 0")
    charges = {name: name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") for name in species}
    operations = enumerate(_with_blanks(crystal.operations[1:] + crystal.operations[:1]), start=1)
    return "\n".join(
        [
            *("#(C) 2012 by nobody", "data_12345-ICSD", "_database_code_ICSD                12345"),
            *_pairs(("_chemical_name_systematic", f"'{crystal.formula} (made up)'")),
            *_pairs(("_chemical_formula_sum", f"'{crystal.formula}'"), ("_publ_section_title", "")),
            *(";", "A title; with data_ and loop_ in it", "loop_", ";"),
            *_loop(["_citation_id", "_citation_journal_abbrev", "_citation_year"], ["primary 'A journal' 1999"]),
            *_cell(crystal, 5, "(2)"),
            *_pairs(("_cell_volume", f"{crystal.structure.volume:.2f}")),
            *_pairs(("_cell_formula_units_Z", crystal.formula_units)),
            *_pairs(("_symmetry_space_group_name_H-M", f"'{_spaced(crystal)}{suffix}'")),
            *_pairs(("_symmetry_Int_Tables_number", crystal.kind.number), ("_refine_ls_R_factor_all", 0.031)),
            *_loop(
                ["_symmetry_equiv_pos_site_id", "_symmetry_equiv_pos_as_xyz"],
                [f"  {number} '{operation}'" for number, operation in operations],
            ),
            *_loop(
                ["_atom_type_symbol", "_atom_type_oxidation_number"],
                [f"{name} {charge[-1]}{charge[:-1]}" for name, charge in charges.items()],
            ),
            *_loop(
                [
                    *("_atom_site_label", "_atom_site_type_symbol", "_atom_site_symmetry_multiplicity"),
                    *("_atom_site_Wyckoff_symbol", *_FRACTIONS, "_atom_site_B_iso_or_equiv"),
                    *("_atom_site_occupancy", "_atom_site_attached_hydrogens"),
                ],
                rows,
            ),
            "#End of TTdata_12345-ICSD",
            "",
        ]
    )


def cod(crystal: Asymmetric) -> str:
    """COD: comments, authors, text fields, Hall symbol, density, operations without quotes, translation first."""
    rows = [f"{site.label} {_position(site, 5, '(12)')} 1 0.01 Uiso" for site in crystal.sites]
    names = ("_atom_site_label", *_FRACTIONS, "_atom_site_occupancy", "_atom_site_U_iso_or_equiv")
    return "\n".join(
        [
            *("#" + "-" * 70, "#$Revision: 1 $", "# data_none of this is data", "#" + "-" * 70),
            "data_9999999",
            *_loop(["_publ_author_name"], ["'Doe, J.'", '"O\'Neill, H."']),
            *("_publ_section_title", ";", " The structure of", "_cell_length_a 3.0", ";"),
            *_pairs(("_journal_year", 1963), ("_chemical_formula_sum", f"'{crystal.formula}'")),
            *_pairs(("_space_group_IT_number", crystal.kind.number)),
            *_pairs(("_symmetry_space_group_name_Hall", f"'{crystal.kind.hall_symbol.replace('=', chr(34))}'")),
            *_pairs(("_symmetry_space_group_name_H-M", f"'{_full_name(crystal)}'")),
            *sorted(_cell(crystal, 5, "(10)")),
            *_pairs(("_cell_formula_units_Z", crystal.formula_units)),
            *_pairs(("_cell_volume", f"{crystal.structure.volume:.3f}")),
            *_pairs(("_exptl_crystal_density_diffrn", f"{float(crystal.structure.density):.3f}")),
            *_pairs(("_cod_database_code", 9999999)),
            *_loop(["_space_group_symop_operation_xyz"], [_translation_first(text) for text in crystal.operations]),
            *_loop([*names, "_atom_site_adp_type"], rows),
            "",
        ]
    )


def amcsd(crystal: Asymmetric) -> str:
    """American Mineralogist: `data_global`, no type symbols, quoted operations with the translation first."""
    return "\n".join(
        [
            *("data_global", "_amcsd_formula_title 'made up'", "loop_", "_publ_author_name", "'Doe J'"),
            *("_journal_year 1993", "_publ_section_title", ";", " Title", ";", "_database_code_amcsd 0000001"),
            f"_chemical_formula_sum '{crystal.formula.replace('1 ', ' ').removesuffix('1')}'"
            if all(count // crystal.formula_units < 10 for count in crystal.counts.values())
            else f"_chemical_formula_sum '{crystal.formula}'",
            *(f"_cell_{name} {value:.5f}" for name, value in zip(_CELL, crystal.parameters, strict=True)),
            f"_cell_volume {crystal.structure.volume:.3f}",
            f"_exptl_crystal_density_diffrn      {float(crystal.structure.density):.3f}",
            f"_symmetry_space_group_name_H-M '{_spaced(crystal)}'",
            *_loop(
                ["_space_group_symop_operation_xyz"],
                [f"  '{_translation_first(text)}'" for text in crystal.operations],
            ),
            *_loop(
                ["_atom_site_label", *_FRACTIONS, "_atom_site_U_iso_or_equiv"],
                [f"{site.label}   {_position(site, 5)}   0.00633" for site in crystal.sites],
            ),
            "",
        ]
    )


def aflow(crystal: Asymmetric) -> str:
    """AFLOW: short name, numbered operations without quotes, Wyckoff labels."""
    operations = enumerate(crystal.operations, start=1)
    return "\n".join(
        [
            *("# CIF file", "", f"data_{crystal.formula.replace(' ', '')}", f"_pd_phase_name '{crystal.formula}'"),
            *_cell(crystal),
            *_pairs(("_symmetry_space_group_name_H-M", f'"{_spaced(crystal)}"')),
            *_pairs(("_symmetry_Int_Tables_Number", crystal.kind.number)),
            *_loop(
                ["_space_group_symop_id", "_space_group_symop_operation_xyz"],
                [f"{number} {operation}" for number, operation in operations],
            ),
            *_loop(
                [
                    *("_atom_site_label", "_atom_site_type_symbol", "_atom_site_symmetry_multiplicity"),
                    *("_atom_site_Wyckoff_label", *_FRACTIONS, "_atom_site_occupancy"),
                ],
                [
                    f"{site.label} {site.symbol} {site.multiplicity} {site.wyckoff} {_position(site, 5)} 1.00000"
                    for site in crystal.sites
                ],
            ),
            "",
        ]
    )


def springer(crystal: Asymmetric) -> str:
    """SpringerMaterials: a block without a crystal, then two cells of the same one; tabs, old operations."""
    blocks = ["##CIF_1.1", "data_sm_global", "_sm_phase_labels\t'x'", "_symmetry_Int_Tables_number\t1"]
    for name, one in (("published_cell", crystal), ("standardized_unitcell", crystal.listing())):
        blocks += [
            f"data_sm_isp_SD1-{name}",
            *(f"_cell_{key}\t\t\t{value:.5f}" for key, value in zip(_CELL, one.parameters, strict=True)),
            f"_symmetry_space_group_name_H-M\t'{_short_name(one)}'",
            f"_symmetry_Int_Tables_number\t\t{one.kind.number}",
            *_loop(["_symmetry_equiv_pos_as_xyz"], [f"\t'{text}'" for text in _with_blanks(one.operations)]),
            *_loop(
                ["_atom_site_label", "_atom_site_type_symbol", *_FRACTIONS, "_atom_site_occupancy"],
                [f"\t{site.label}\t{site.symbol}\t{_position(site, 5)}\t1" for site in one.sites],
            ),
        ]
    return "\n".join([*blocks, ""])


def shelx(crystal: Asymmetric) -> str:
    """SHELXL and its editors: uncertainties, flags, disorder columns, reflections in a text field; H as D."""
    rows = []
    for site in crystal.sites:
        names = f"{site.label} {site.symbol}" if site.number > 1 else f"D{site.label[1:]} D"
        rows.append(f"{names} {_position(site, 5, '(2)')} 0.0123(4) Uani 1 {len(crystal.operations)} d S . . .")
    flags = ("adp_type", "occupancy", "site_symmetry_order", "calc_flag", "refinement_flags_posn")
    more = ("refinement_flags_adp", "disorder_assembly", "disorder_group")
    aniso = ("_atom_site_aniso_label", "_atom_site_aniso_U_11", "_atom_site_aniso_U_22")
    return "\n".join(
        [
            *(
                "data_shelx",
                "_audit_creation_method            'SHELXL-2018/3'",
                "_shelx_SHELXL_version_number '2018/3'",
            ),
            *("_chemical_name_systematic", "?", f"_chemical_formula_sum '{crystal.formula}'"),
            *_loop(
                ["_atom_type_symbol", "_atom_type_scat_dispersion_real"],
                [f"'{symbol}' 0.0033" for symbol in crystal.counts],
            ),
            *_pairs(("_space_group_crystal_system", "?"), ("_space_group_IT_number", crystal.kind.number)),
            *_pairs(("_space_group_name_H-M_alt", f"'{_spaced(crystal)}'")),
            *_pairs(("_space_group_name_Hall", f"'{crystal.kind.hall_symbol.replace('=', chr(34))}'")),
            *_loop(["_space_group_symop_operation_xyz"], [f"'{text}'" for text in _with_blanks(crystal.operations)]),
            *_cell(crystal, 5, "(3)"),
            *_pairs(("_cell_formula_units_Z", crystal.formula_units)),
            *_pairs(("_exptl_crystal_density_meas", "?")),
            *_loop(
                [
                    *("_atom_site_label", "_atom_site_type_symbol", *_FRACTIONS, "_atom_site_U_iso_or_equiv"),
                    *(f"_atom_site_{name}" for name in (*flags, *more)),
                ],
                rows,
            ),
            *_loop(aniso, [f"{site.label} 0.01(1) 0.02(1)" for site in crystal.sites]),
            *("_shelx_hkl_file", ";", "   1   0   0    1.00    0.10", "data_not loop_ _cell_length_a 1", ";", ""),
        ]
    )


def dotted(crystal: Asymmetric) -> str:
    """Names of the newer dictionary, with dots, and its standard uncertainties as items of their own."""
    rows = [f"{site.label} {site.symbol} {_position(site, 6)}" for site in crystal.sites]
    return "\n".join(
        [
            *("#\\#CIF_2.0", "data_dotted"),
            *(f"_cell.{name} {value:.5f}" for name, value in zip(_CELL, crystal.parameters, strict=True)),
            *("_cell.length_a_su 0.0001", f"_space_group.IT_number {crystal.kind.number}"),
            f"_space_group.name_Hall '{crystal.kind.hall_symbol.replace('=', chr(34))}'",
            *_loop(
                ["_space_group_symop.id", "_space_group_symop.operation_xyz"],
                [f"{number} {text}" for number, text in enumerate(crystal.operations, start=1)],
            ),
            *_loop(
                ["_atom_site.label", "_atom_site.type_symbol", *(f"_atom_site.fract_{axis}" for axis in "xyz")], rows
            ),
            "",
        ]
    )


def old(crystal: Asymmetric) -> str:
    """Old files: carriage returns, operations in capitals with blanks and without quotes, elements in capitals."""
    rows = [f"{site.label.upper()} {site.symbol.upper()} {_position(site, 5)}" for site in crystal.sites]
    return "\r\n".join(
        [
            "data_OLD",
            *(f"_cell_{name} {value:.5f}" for name, value in zip(_CELL, crystal.parameters, strict=True)),
            f"_symmetry_space_group_name_H-M '{_spaced(crystal).upper()}'",
            *_loop(["_symmetry_equiv_pos_as_xyz"], [text.upper() for text in _with_blanks(crystal.operations)]),
            *_loop(["_atom_site_label", "_atom_site_type_symbol", *_FRACTIONS], rows),
            "",
        ]
    )


def full_name_alone(crystal: Asymmetric) -> str:
    """No operations: the full symbol with its choice, as small hand-written files have it."""
    rows = [f"{site.label} {site.symbol} {_position(site, 5)}" for site in crystal.sites]
    return "\n".join(
        [
            *("data_x", *_cell(crystal), f"_symmetry_space_group_name_H-M '{_full_name(crystal)}'"),
            *_loop(["_atom_site_label", "_atom_site_type_symbol", *_FRACTIONS], rows),
            "",
        ]
    )


def name_and_number(crystal: Asymmetric) -> str:
    """No operations: the symbol without its choice, the number, formula and formula units."""
    rows = [f"{site.label} {site.symbol} {_position(site, 5)}" for site in crystal.sites]
    return "\n".join(
        [
            *("data_x", *_cell(crystal), f"_symmetry_space_group_name_H-M '{_spaced(crystal)}'"),
            f"_symmetry_Int_Tables_number {crystal.kind.number}",
            *(f"_chemical_formula_sum '{crystal.formula}'", f"_cell_formula_units_Z {crystal.formula_units}"),
            *_loop(["_atom_site_label", "_atom_site_type_symbol", *_FRACTIONS], rows),
            "",
        ]
    )


def gemmi_block(crystal: Asymmetric) -> str:
    """gemmi's own writer of a small structure."""
    small = gemmi.SmallStructure()
    small.name = "gemmi"
    small.cell = gemmi.UnitCell(*crystal.parameters)
    small.spacegroup_hm = _full_name(crystal)
    for one in crystal.sites:
        site = gemmi.SmallStructure.Site()
        site.label, site.type_symbol, site.element = one.label, one.symbol, gemmi.Element(one.symbol)
        site.fract, site.occ = gemmi.Fractional(*one.position), 1.0
        small.add_site(site)
    return str(small.make_cif_block().as_string())


STYLES: dict[str, Callable[[Asymmetric], str]] = {
    "VESTA": vesta,
    "Materials Studio": materials_studio,
    "ICSD": icsd,
    "COD": cod,
    "AMCSD": amcsd,
    "AFLOW": aflow,
    "SpringerMaterials": springer,
    "SHELXL": shelx,
    "dotted names": dotted,
    "old": old,
    "full name alone": full_name_alone,
    "name and number": name_and_number,
    "gemmi": gemmi_block,
}
"""By name, what writes a crystal in its setting."""
