"""One crystal for reading: matrices with unit and frame, derived properties, symmetry, provenance, warnings."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from db.records import Floats
from flows.reports.tables import cell, interval_text, new_table
from gmt_tasks.export.second_opinion import MODULI_NOTE, OpinionReport, opinion_reports
from models.errors import Doubt
from models.quantities import DERIVED, TENSORS, ColumnKind, Tensor, symprec_spread_column
from models.reliability_columns import reliability_column
from models.tensors.voigt import to_printed

SHOWN_FRACTION = 1e-5
"""Less than this is rounding of the network's arithmetic, not a broken symmetry."""

VOIGT = "Voigt order 11 22 33 23 13 12"

SHOWN_INPUTS = 5
SHOWN_CHARACTERS = 300
"""Of each kind so many inputs are shown, and so much of a note: both may come by the thousand."""

SHOWN_MODES = 12
"""Of those at the zone centre, the lowest."""


def print_crystal(out: Console, facts: dict[str, Any]) -> None:
    """Prints the facts that `ResultStore.show` gives.

    Args:
        out: where to.
        facts: see `ResultStore.show`.
    """
    # Soft wrap: a pipe gets whole lines, to be searched.
    for line in identity_lines(facts):
        out.print(line, soft_wrap=True)
    for result in facts["results"]:
        _print_result(out, facts, result)
    if not facts["results"]:
        out.print("no results yet; screen its source, or see `gmtscreen rejects`")
    for report in opinion_reports(facts):
        print_opinion(out, report)


def identity_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Name, composition, cell and where the crystal came from."""
    lengths = np.linalg.norm(facts["lattice"], axis=1)
    yield f"{facts['formula']}  {facts['id']}"
    yield from doubt_lines(facts["inputs"])
    yield f"  {facts['n_atoms']} atoms, {facts['volume_per_atom']:.2f} angstrom^3 per atom"
    yield "  cell lengths " + " ".join(f"{length:.4f}" for length in lengths) + " angstrom"
    shown = facts["source_ids"][:SHOWN_INPUTS]
    more = f" and {len(facts['source_ids']) - len(shown)} more" if len(facts["source_ids"]) > len(shown) else ""
    yield f"  came as {', '.join(shown)}{more}"
    # the same source may have come in several runs
    made = list(dict.fromkeys(one["text"] for one in facts["lineage"]))
    yield from (f"  made by {text}" for text in made[:SHOWN_INPUTS])
    if len(made) > SHOWN_INPUTS:
        yield f"  and made in {len(made) - SHOWN_INPUTS} more ways"
    proposed = [one["text"] for one in facts["proposals"]]
    yield from (f"  {text}" for text in proposed[:SHOWN_INPUTS])
    if len(proposed) > SHOWN_INPUTS:
        yield f"  and proposed by {len(proposed) - SHOWN_INPUTS} more designs"
    if facts["children"]:
        yield f"  from it were made {', '.join(f'{n:,} by {name}' for name, n in facts['children'].items())}"
    if facts["twin_id"]:
        where = "also stored" if facts["twin_stored"] else "not stored"
        yield f"  chiral; its mirror image is {facts['twin_id']}, {where}"
    for arrival in facts["inputs"]:
        if arrival["reason"]:
            yield f"  run {arrival['run']}: {arrival['outcome']}, {arrival['reason']}: {arrival['detail']}"
    yield from rotation_lines(facts["inputs"], facts["lattice"])


def doubt_lines(arrivals: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What is doubtful about each input of the crystal, with the reader's notes; nothing where nothing is."""
    # the same file may have come in several runs
    doubtful = {
        arrival["source_id"]: (arrival["doubts"], arrival["doubt_notes"]) for arrival in arrivals if arrival["doubts"]
    }
    n_inputs = len({arrival["source_id"] for arrival in arrivals})
    if doubtful:
        yield f"  DOUBTFUL: {len(doubtful)} of the {n_inputs} inputs that it came as"
    for source_id, (doubts, notes) in list(doubtful.items())[:SHOWN_INPUTS]:
        for doubt in doubts:
            yield f"    {source_id}: {Doubt(doubt).sentence}"
        for note in notes[:SHOWN_INPUTS]:
            yield f"      {note[:SHOWN_CHARACTERS]}"
    if len(doubtful) > SHOWN_INPUTS:
        yield f"    and {len(doubtful) - SHOWN_INPUTS} more"


def rotation_lines(arrivals: Sequence[dict[str, Any]], lattice: Floats) -> Iterator[str]:
    """Which inputs of the crystal are rotated against the stored one, how, and the stored rows in their frame.

    Args:
        arrivals: the inputs, see `ResultStore.show`.
        lattice: rows of the stored crystal in angstrom, shape [3, 3].
    """
    rotations = {arrival["source_id"]: arrival["turn"] for arrival in arrivals if arrival["turn"] is not None}
    for source_id, rotation in list(rotations.items())[:SHOWN_INPUTS]:
        kind = "rotated" if np.linalg.det(rotation) > 0 else "mirrored"
        yield f"  {source_id} gives it {kind}: the matrix takes vectors of the frame below into the frame of that input"
        yield matrix_text(rotation, "    ")
        yield "    lattice rows below, in the frame of that input (angstrom)"
        yield lattice_text(lattice @ rotation.T, "    ")
    if len(rotations) > SHOWN_INPUTS:
        yield f"  and {len(rotations) - SHOWN_INPUTS} more inputs are rotated"


def _print_result(out: Console, facts: dict[str, Any], result: dict[str, Any]) -> None:
    out.print()
    out.print(f"{result['model']} (sha256 {result['model_sha256'][:12]}, {result['model_state']}), run {result['run']}")
    out.print(symmetry_line(result), soft_wrap=True)
    if "rotation" in result:
        out.print(f"tensors in the IEEE frame: {result['axes']}", soft_wrap=True)
        out.print("rows X, Y, Z in the input frame")
        out.print(matrix_text(np.asarray(result["rotation"]), "    "))
        out.print("lattice rows in the IEEE frame (angstrom)")
    else:
        out.print(f"tensors in the input frame: {facts['axes']} (angstrom)", soft_wrap=True)
    out.print(lattice_text(np.asarray(result.get("lattice", facts["lattice"])), "    "))
    for tensor in Tensor:
        if result["tensors"].get(tensor.value) is not None:
            _print_tensor(out, tensor, result)
    out.print()
    out.print(derived_table(result["derived"], result.get("uncertainty", {})))
    for line in reliability_lines(result.get("trust", {})):
        out.print(line, soft_wrap=True)
    literature = list(literature_rows(facts["source_ids"], result))
    if literature:
        out.print()
        print_literature(out, literature)
    for warning in result["warnings"]:
        out.print(f"warning: {warning}", soft_wrap=True)


def symmetry_line(result: dict[str, Any]) -> str:
    """Space group at the tolerance used, and at the others when they differ."""
    # The three tolerances are worth a line only where they disagree: then every tensor below depends on the choice.
    at = {"1e-3": result["spacegroup_1e3"], "1e-2": result["spacegroup_1e2"], "1e-1": result["spacegroup_1e1"]}
    ambiguous = ", ".join(f"{number} at {symprec}" for symprec, number in at.items() if number is not None)
    note = f"; AMBIGUOUS: {ambiguous} angstrom" if result["symmetry_ambiguous"] and ambiguous else ""
    symprec = f" at symprec {result['symprec']} angstrom" if result["symprec"] is not None else ""
    return f"space group {result['spacegroup']}, point group {result['point_group']}{symprec}{note}"


def _print_tensor(out: Console, tensor: Tensor, result: dict[str, Any]) -> None:
    quantity = TENSORS[tensor]
    removed = result["removed_fraction"].get(tensor.value)
    # Only what a reader can act on: shares of the size of rounding errors are left out.
    share = f", symmetrization removed {100 * removed:.2g} %" if removed and removed > SHOWN_FRACTION else ""
    spread = result.get(symprec_spread_column(tensor))
    share += f", another tolerance changes it by {100 * spread:.2g} %" if spread and spread > SHOWN_FRACTION else ""
    radius = result.get("error_radius", {}).get(tensor.value)
    unit = "relative" if quantity.unit == "1" else quantity.unit
    share += f", 90 %: within {radius:.3g} of the true tensor (Frobenius)" if radius else ""
    order = f", {VOIGT}" if quantity.rank > 2 else ""
    out.print(f"{quantity.label} {quantity.symbol} ({unit}{order}{share})", soft_wrap=True)
    matrix = np.asarray(result["tensors"][tensor.value])
    if not matrix.any():
        out.print("    zero: forbidden by the point group")
        return
    out.print(matrix_text(to_printed(tensor, matrix), "    "))


def matrix_text(matrix: Floats, indent: str = "") -> str:
    """A matrix in aligned columns; exact zeros are a dot so that the symmetry's pattern is seen.

    Args:
        matrix: shape [n_rows, n_columns].
        indent: in front of every line.
    """
    # One number of decimals for the whole matrix, so that the columns stay aligned.
    largest = float(np.abs(matrix).max(initial=0.0))
    digits = 4 if largest < 10 else 3 if largest < 100 else 1
    texts = ["." if value == 0 else f"{value:.{digits}f}" for value in matrix.ravel().tolist()]
    width = max(map(len, texts))
    cells, n_columns = [text.rjust(width) for text in texts], matrix.shape[1]
    return "\n".join(indent + " ".join(cells[at : at + n_columns]) for at in range(0, len(cells), n_columns))


def lattice_text(lattice: Floats, indent: str = "") -> str:
    """The rows a, b, c of a lattice in angstrom, each with its name.

    Args:
        lattice: shape [3, 3].
        indent: in front of every line.
    """
    lines = matrix_text(np.where(np.abs(lattice) < 5e-5, 0.0, lattice)).split("\n")
    return "\n".join(f"{indent}{name}  {line}" for name, line in zip("abc", lines, strict=True))


def derived_table(derived: dict[str, Any], uncertainty: dict[str, Any]) -> Table:
    """Derived properties with their 90 % interval, unit and meaning; unknown ones are left out."""
    table = new_table("derived", "value", "90 %", "unit", "", numbers=["value"])
    for name, quantity in DERIVED.items():
        value = derived.get(name)
        if value is not None:
            unit = "" if quantity.unit == "1" or quantity.kind is not ColumnKind.NUMBER else quantity.unit
            shown = bool(value) if quantity.kind is ColumnKind.FLAG else value
            table.add_row(name, cell(name, shown), interval_text(uncertainty.get(name)), unit, quantity.label)
    return table


def reliability_lines(reliability: dict[str, Any]) -> Iterator[str]:
    """Distance to the training data, dimension of the bonds, band gap; unknown ones are left out.

    Args:
        reliability: the columns of `models.reliability_columns.RELIABILITY` of one result.
    """
    if reliability.get("ood_score") is not None:
        domain = "OUT OF DISTRIBUTION" if reliability["ood"] else "in distribution"
        score = f"{100 * reliability['ood_score']:.1f} %"
        yield f"training data: {domain}; {score} of held-out crystals are nearer to it"
    if reliability.get("bond_dimensionality") is not None:
        kind = ("molecules or atoms", "chains", "layers", "a framework")[int(reliability["bond_dimensionality"])]
        vacuum = (
            f", in {reliability['vacuum_angstrom']:.1f} angstrom of vacuum" if reliability["low_dimensional"] else ""
        )
        pores = " with pores" if reliability.get("open_framework") else ""
        defect = "; many cells of a simpler crystal with a point defect" if reliability.get("defect_supercell") else ""
        yield f"bonds form {kind}{pores}{vacuum}{defect}"
    if reliability.get("equilibrium_volume_ratio") is not None:
        far = "OFF EQUILIBRIUM" if reliability["off_equilibrium"] else "near equilibrium"
        change = 100 * (reliability["equilibrium_volume_ratio"] - 1)
        yield f"{far}: relaxed, the volume is predicted to change by {change:+.1f} %"
    if reliability.get("band_gap_ev") is not None:
        # The network's band gap may come out below zero; for a reader that is a metal's zero.
        metal = "; a METAL: dielectric and piezoelectric numbers are left out" if reliability["metal"] else ""
        guide = "" if metal else " (a guide only: wide gaps come out at half of a semilocal calculation)"
        yield f"predicted band gap {max(reliability['band_gap_ev'], 0.0):.2f} eV{metal}{guide}"
    scores = {row.symbol: reliability.get(reliability_column(tensor)) for tensor, row in TENSORS.items()}
    if known := [f"{symbol} {score:.2f}" for symbol, score in scores.items() if score is not None]:
        yield f"reliability (1: no large error): {', '.join(known)}"


def literature_rows(source_ids: Sequence[str], result: dict[str, Any]) -> Iterator[tuple[str, float, float, str]]:
    """Literature beside prediction, for crystals of the source `reference`: name, literature, predicted, source."""
    from gmt_tasks.evaluation.literature_names import predicted_value
    from gmt_tasks.sources.generated.reference_crystals import literature_of

    # Only what both have: a model without some tensor predicts none of its components.
    for source_id in source_ids:
        for name, (measured, source) in literature_of(source_id).items():
            predicted = predicted_value(name, result)
            if predicted is not None:
                yield name, measured, predicted, source


def print_literature(out: Console, rows: Sequence[tuple[str, float, float, str]]) -> None:
    """Literature beside prediction, with the difference in per cent of the literature value, then the sources."""
    sources = list(dict.fromkeys(source for _, _, _, source in rows))
    table = new_table("", "literature", "predicted", "off", "source", numbers=["literature", "predicted", "off"])
    for name, measured, predicted, source in rows:
        off = f"{100 * (predicted - measured) / abs(measured):+.0f} %" if measured else "-"
        table.add_row(name, cell(name, measured), cell(name, predicted), off, f"[{sources.index(source) + 1}]")
    out.print(table)
    for number, source in enumerate(sources, 1):
        out.print(f"[{number}] {source}", soft_wrap=True)


def print_opinion(out: Console, report: OpinionReport) -> None:
    """A second opinion by a potential: what it found, moduli by network, potential and both, modes, notes.

    Args:
        out: where to.
        report: of one combined model.
    """
    out.print()
    out.print(f"Second opinion: {report.model}", soft_wrap=True)
    width = max(len(name) for name, _ in report.facts)
    for name, text in report.facts:
        out.print(f"  {name.ljust(width)}  {text}", soft_wrap=True)
    numbers = ["network", "potential", "combined"]
    table = new_table("", "network", "90 %", "potential", "combined", "90 %", "unit", numbers=numbers)
    for row in report.moduli:
        values = [cell(row.name, value) for value in (row.network, row.potential, row.combined)]
        ends = [interval_text(pair) for pair in (row.network_interval, row.combined_interval)]
        table.add_row(row.name, values[0], ends[0], values[1], values[2], ends[1], row.unit)
    out.print()
    out.print(MODULI_NOTE)
    out.print(table)
    modes = new_table("zone centre", "THz", "times", "irrep", "", numbers=["THz", "times"])
    for number, mode in enumerate(report.modes[:SHOWN_MODES], 1):
        remark = mode.remark.upper() if mode.unstable else "polar" if mode.polar else ""
        modes.add_row(f"mode {number}", f"{mode.frequency_thz:.2f}", str(mode.degeneracy), mode.irrep, remark)
    if report.modes:
        out.print(modes)
    if len(report.modes) > SHOWN_MODES:
        out.print(f"and {len(report.modes) - SHOWN_MODES} more above; --json lists them")
    for note in report.notes:
        out.print(f"note: {note}", soft_wrap=True)
