"""What the web application is given from outside of the database: symmetry, literature, files, words for people."""

from collections.abc import Sequence
from typing import Any

from db.explorer.services import IeeeFrame, LiteratureValue
from models.errors import GmtError
from models.quantities import Tensor


class ExplorerServices:
    """Implements `db.explorer.services.Services`."""

    def ieee_frame(self, facts: dict[str, Any], result: dict[str, Any]) -> IeeeFrame:
        """The IEEE frame of a crystal and the tensors of a result in it."""
        from models.crystals.crystal import Crystal
        from models.symmetry.search import find_symmetry
        from models.tensors.frames import ieee_rotation, oriented_point_group
        from models.tensors.rotate import rotate

        crystal = Crystal(facts["lattice"], facts["frac_coords"], facts["numbers"])
        symmetry = find_symmetry(crystal.as_batch(), result["symprec"] or 1e-2)
        if len(symmetry.failed):
            raise GmtError(f"No space group was found for {facts['formula']}. Read its tensors in the input frame.")
        group = oriented_point_group(int(symmetry.number[0]))
        # Columns a, b, c of the conventional cell, where rows are asked for.
        rotation = ieee_rotation(symmetry.conventional[0].T, group)
        stored = {Tensor(name): tensor for name, tensor in result["tensors"].items() if tensor is not None}
        rotated = {tensor: rotate(tensor, values, rotation) for tensor, values in stored.items()}
        return IeeeFrame(rotation, f"IEEE Std 176 axes of point group {group}; rows are X, Y, Z", rotated)

    def structure_text(self, facts: dict[str, Any], format: str) -> str:
        """A crystal as a file."""
        from gmt_tasks.export.structure_text import structure_text

        return structure_text(facts, format)

    def literature(self, source_ids: Sequence[str], result: dict[str, Any]) -> list[LiteratureValue]:
        """Published values of a crystal that has some, beside those of a result."""
        from flows.reports.crystal_view import literature_rows

        return [LiteratureValue(*row) for row in literature_rows(source_ids, result)]

    def reliability(self, result: dict[str, Any]) -> list[str]:
        """How reliable a result is, in sentences."""
        from flows.reports.crystal_view import reliability_lines

        return list(reliability_lines(result.get("trust", {})))
