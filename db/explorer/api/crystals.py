"""One crystal as JSON: its facts, tensors in any frame, surfaces, polycrystal, neighbours, files, labels."""

import re
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlalchemy import or_

from db.explorer.answers import json_answer, tagged
from db.explorer.api.parameters import ModelName
from db.explorer.api.polycrystal import polycrystal_groups
from db.explorer.api.similar import similar_crystals
from db.explorer.api.surfaces import surface_grid
from db.explorer.context import Context
from db.explorer.paths import without_paths
from db.labels.rows import without_content
from db.runs.reports import result_of
from db.tables import labels as label_table
from models.derived.elastic import compliance_voigt
from models.derived.piezoelectric import piezoelectric_strain_voigt
from models.derived.surfaces import SURFACES, Surface
from models.errors import GmtError, MissingError
from models.quantities import TENSORS, Tensor
from models.tensors.voigt import stiffness_voigt_to_mandel, to_printed

router = APIRouter(prefix="/crystals/{crystal:path}")

STRUCTURE_TYPES = {"cif": "chemical/x-cif", "poscar": "text/plain", "extxyz": "text/plain"}
FILE_ENDINGS = {"cif": ".cif", "poscar": ".vasp", "extxyz": ".extxyz"}


def tensors_of(result: dict[str, Any]) -> dict[Tensor, Any]:
    """The tensors that a result has, in their stored shape."""
    stored = {Tensor(name): tensor for name, tensor in result["tensors"].items()}
    return {name: np.asarray(tensor) for name, tensor in stored.items() if tensor is not None}


def relaxed_facts(known: dict[str, Any], model: str) -> dict[str, Any]:
    """A crystal in its relaxed cell, with the combined result, whose tensors belong to that cell.

    Args:
        known: of `ResultStore.show`.
        model: the combined model; the newest second opinion without it.

    Raises:
        MissingError: there is no second opinion, or none of that model.
    """
    opinions = known["second_opinions"]
    chosen = next((one for one in opinions if one["model"] == model), None if model else next(iter(opinions), None))
    if chosen is None:
        raise MissingError(
            f"{known['id']} has no second opinion{f' of {model[:80]}' if model else ''}. Refine it first."
        )
    relaxed: dict[str, Any] = chosen["relaxed"]
    return known | relaxed | {"results": [result_of(known, chosen["model"])], "relaxed_by": chosen["potential"]}


@router.get("/tensors")
def tensors(
    crystal: str,
    request: Request,
    explorer: Context,
    frame: Annotated[str, Query(pattern="^(input|ieee)$")] = "input",
    model: ModelName = "",
) -> Response:
    """Tensors in the input or in the IEEE frame, with compliance and piezoelectric strain beside them."""
    known = explorer.store.show(crystal)
    result = result_of(known, model)
    values, axes, rotation = tensors_of(result), known["axes"], np.eye(3)
    if frame == "ieee":
        ieee = explorer.services.ieee_frame(known, result)
        values, axes, rotation = ieee.tensors, ieee.axes, ieee.rotation
    shown: dict[str, Any] = {tensor.value: each for tensor, each in values.items()}
    printed = {tensor.value: to_printed(tensor, each) for tensor, each in values.items()}
    units = {tensor.value: TENSORS[tensor].unit for tensor in values}
    # An unstable crystal has no compliance that means anything.
    if Tensor.ELASTIC in values and result["derived"]["mechanically_stable"]:
        stiffness = values[Tensor.ELASTIC][None]
        shown["compliance_voigt"] = compliance_voigt(stiffness)[0]
        units["compliance_voigt"] = "1/TPa"
        if Tensor.PIEZOELECTRIC in values:
            shown["piezoelectric_strain"] = piezoelectric_strain_voigt(values[Tensor.PIEZOELECTRIC][None], stiffness)[0]
            units["piezoelectric_strain"] = "pC/N"
    # Principal values of symmetric matrices, the same in every frame; those of the stiffness belong to its Mandel form.
    symmetric = {name: value for name, value in values.items() if value.shape == (3, 3)}
    if Tensor.ELASTIC in values:
        symmetric[Tensor.ELASTIC] = stiffness_voigt_to_mandel(values[Tensor.ELASTIC])
    principal = {name.value: np.linalg.eigvalsh(value) for name, value in symmetric.items()}
    answer = {"frame": frame, "axes": axes, "rotation": rotation, "tensors": shown, "units": units}
    answer |= {"printed": printed, "principal_values": principal}
    return json_answer(request, answer | {"model": result["model"], "error_radius": result["error_radius"]})


@router.get("/surface")
def surface(
    crystal: str,
    request: Request,
    explorer: Context,
    name: Annotated[str, Query(alias="property", description=f"One of {', '.join(Surface)}")] = Surface.YOUNG.value,
    n: Annotated[int, Query(ge=3, description="Number of polar angles.")] = 46,
    model: ModelName = "",
) -> Response:
    """A property as a function of direction: values on a grid of angles in the input frame, and its extremes."""
    if name not in set(Surface):
        raise GmtError(f"There is no surface {name[:40]!r}. There are: {', '.join(Surface)}.")
    known = explorer.store.show(crystal)
    result = result_of(known, model)
    density = result["derived"].get("density_g_per_cm3")
    n_theta = min(n, explorer.settings.surface_directions)
    grid = surface_grid(Surface(name), tensors_of(result), None if density is None else 1e3 * density, n_theta)
    return json_answer(request, grid)


@router.get("/surfaces")
def surfaces(crystal: str, request: Request, explorer: Context, model: ModelName = "") -> Response:
    """The surfaces that the tensors of a crystal allow: name, label, unit, whether values may be negative."""
    values = tensors_of(result_of(explorer.store.show(crystal), model))
    allowed = {name: each for name, each in SURFACES.items() if set(each.from_tensors) <= values.keys()}
    rows = [
        {"name": name.value, "label": each.label, "unit": each.unit, "signed": each.signed}
        for name, each in allowed.items()
    ]
    return json_answer(request, rows)


@router.get("/polycrystal")
def polycrystal(crystal: str, request: Request, explorer: Context, model: ModelName = "") -> Response:
    """What a polycrystal of it is like: bounds and estimates of its moduli and dielectric constants."""
    result = result_of(explorer.store.show(crystal), model)
    return json_answer(request, polycrystal_groups(result["derived"], tensors_of(result)))


@router.get("/reliability")
def reliability(crystal: str, request: Request, explorer: Context, model: ModelName = "") -> Response:
    """How far the result can be relied on, in sentences."""
    result = result_of(explorer.store.show(crystal), model)
    return json_answer(request, {"sentences": explorer.services.reliability(result), "scores": result["trust"]})


@router.get("/second-opinions")
def second_opinions(crystal: str, request: Request, explorer: Context) -> Response:
    """What a potential says about the crystal, for reading; the numbers themselves are among the crystal's facts."""
    rows = explorer.services.second_opinions(explorer.store.show(crystal))
    return json_answer(request, {"rows": rows})


@router.get("/similar")
def similar(crystal: str, request: Request, explorer: Context, model: ModelName = "") -> Response:
    """Crystals that are like it: its mirror image, polymorphs, the same structure of other elements."""
    known = explorer.store.show(crystal)
    result = result_of(known, model)
    return json_answer(request, {"rows": explorer.store.ask(similar_crystals, known, result, model or None)})


@router.get("/structure")
def structure(
    crystal: str,
    request: Request,
    explorer: Context,
    *,
    format: str = "cif",
    model: ModelName = "",
    relaxed: Annotated[bool, Query(description="The primitive cell that a second opinion relaxed.")] = False,
) -> Response:
    """The crystal as a file: `cif`, `poscar` or `extxyz`."""
    known = explorer.store.show(crystal)
    if relaxed:
        known = relaxed_facts(known, model)
    elif known["results"]:
        known |= {"results": [result_of(known, model)]}
    body = explorer.services.structure_text(known, format).encode()
    answer = tagged(request, body, STRUCTURE_TYPES.get(format, "text/plain"))
    # A header holds plain letters only.
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", f"{known['formula']}_{known['id']}") + ("_relaxed" if relaxed else "")
    answer.headers["content-disposition"] = f'attachment; filename="{stem}{FILE_ENDINGS.get(format, "")}"'
    return answer


@router.get("/labels")
def labels(crystal: str, request: Request, explorer: Context, model: ModelName = "") -> Response:
    """First-principles labels of the crystal with what was decided about them, and published values."""
    known = explorer.store.show(crystal)
    of_crystal = or_(label_table.c.crystal_id == known["id"], label_table.c.source_id == known["id"])
    rows = [
        {"kind": each.kind, "source": each.source, "source_id": each.source_id, "licence": each.licence}
        | {"status": each.state, "reason": each.reason, "detail": each.detail, "residual": each.residual}
        | {"batch": each.ingest_id, "derived": dict(each.sizes)}
        for each in explorer.store.ask(without_content, of_crystal)
    ]
    values = []
    if known["results"]:
        values = explorer.services.literature(known["source_ids"], result_of(known, model))
    return json_answer(request, {"labels": rows, "literature": [each._asdict() for each in values]})


# Last: a source id may hold slashes, and so would swallow the names above.
@router.get("")
def facts(crystal: str, request: Request, explorer: Context) -> Response:
    """Everything about one crystal, by content id, source id, or the first characters of its content id."""
    known = explorer.store.show(crystal)
    shown = {name: list(map(without_paths, known[name])) for name in ("inputs", "lineage")}
    return json_answer(request, known | shown)
