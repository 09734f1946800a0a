"""How a calculation was done, in words: functional, cutoff, version, and what a reader of the label should know."""

from collections.abc import Sequence

from gmt_tasks.labels.readers.vasp.run import VaspRun

MAX_FORCE = 0.01
"""Force in eV/angstrom from which a structure counts as not relaxed."""

MAX_PRESSURE_KBAR = 5.0
"""External pressure from which it does: stiffnesses then change by a few GPa."""

_GGA = {
    "PE": "PBE", "PS": "PBEsol", "RP": "RPBE", "RE": "revPBE", "AM": "AM05", "91": "PW91", "CA": "LDA", "PZ": "LDA",
    "BO": "optB88", "MK": "optB86b", "OR": "optPBE", "ML": "rPW86", "BF": "BEEF",
}  # fmt: skip
_UNSET = {"", "--", "F", ".FALSE.", "NONE", "FALSE"}
_RANGE_OF_HSE06 = (0.19, 0.22)


def method_of(run: VaspRun) -> str:
    """Code, version, functional, cutoff and kind of calculation, for the key `method` of a label row."""
    ibrion = run.integer("IBRION", -1)
    how = {5: "finite differences", 6: "finite differences", 7: "DFPT", 8: "DFPT"}.get(ibrion, "")
    field = "LEPSILON" if run.flag("LEPSILON") else "LCALCEPS" if run.flag("LCALCEPS") else ""
    cutoff = run.settings.get("ENCUT", "")
    if "." in cutoff:
        cutoff = cutoff.rstrip("0").rstrip(".")
    words = [f"VASP {run.version}".strip(), functional_of(run), f"{cutoff} eV" if cutoff else "", how, field]
    if run.flag("LSORBIT"):
        words.append("spin-orbit coupling")
    elif run.flag("LNONCOLLINEAR"):
        words.append("noncollinear")
    elif run.integer("ISPIN", 1) == 2:
        words.append("spin-polarized")
    return ", ".join(filter(None, words))


def functional_of(run: VaspRun) -> str:
    """The exchange-correlation functional by its usual name: "PBEsol", "PBE+U", "optB88-vdW", "HSE06"."""
    gga = run.settings.get("GGA", "--").strip().upper()
    meta = run.settings.get("METAGGA", "--").strip().upper()
    name = _GGA.get(gga, gga) if gga not in _UNSET else _functional_of_potentials(run.potentials)
    if run.flag("LUSE_VDW"):
        name += "-vdW"
    if meta not in _UNSET:
        name = meta
    if run.flag("LHFCALC"):
        # screened by 0.2 per angstrom it is HSE06, unscreened PBE0
        name = f"{_hybrid(run)} ({name})"
    if run.flag("LDAU"):
        name += "+U"
    dispersion = run.integer("IVDW", 0)
    return f"{name}, dispersion correction IVDW {dispersion}" if dispersion else name


def _hybrid(run: VaspRun) -> str:
    """Name of a hybrid functional by the screening of its exchange."""
    try:
        screening = float(run.settings.get("HFSCREEN", "0"))
    except ValueError:
        return "hybrid"
    if screening == 0:
        return "PBE0"
    return "HSE06" if _RANGE_OF_HSE06[0] <= screening <= _RANGE_OF_HSE06[1] else "hybrid"


def _functional_of_potentials(titles: Sequence[str]) -> str:
    """The functional that the potentials were made with, which VASP uses where GGA is not set."""
    kinds = {title.partition(" ")[0].upper() for title in titles}
    if all(kind.startswith("PAW_PBE") for kind in kinds):
        return "PBE"
    if all(kind.startswith("PAW_GGA") for kind in kinds):
        return "PW91"
    return "LDA" if kinds == {"PAW"} or all(kind.startswith("PAW_LDA") for kind in kinds) else "unknown functional"


def remarks_on(run: VaspRun) -> list[str]:
    """What does not refuse a label but should be known: magnetism, forces and pressure that were left."""
    remarks = []
    if run.integer("ISPIN", 1) == 2 or run.flag("LNONCOLLINEAR"):
        remarks.append("magnetic calculation: the space group of the atoms may be more than that of the spins")
    if run.max_force is not None and run.max_force > MAX_FORCE:
        remarks.append(f"not relaxed: the largest force is {run.max_force:.3g} eV/angstrom")
    if run.pressure_kbar is not None and abs(run.pressure_kbar) > MAX_PRESSURE_KBAR:
        remarks.append(f"not relaxed: the external pressure is {run.pressure_kbar:.3g} kbar")
    return remarks
