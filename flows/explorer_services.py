"""What the web application is given from outside of the database: symmetry, literature, files, words for people."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from db.explorer.services import IeeeFrame, LiteratureValue
from db.query.hits import Hits
from models.quantities import Tensor


class ExplorerServices:
    """Implements `db.explorer.services.Services`."""

    def ieee_frame(self, facts: dict[str, Any], result: dict[str, Any]) -> IeeeFrame:
        """The IEEE frame of a crystal and the tensors of a result in it."""
        from gmt_tasks.export.frames import facts_in_ieee_frame

        rotated = facts_in_ieee_frame(facts | {"results": [result]})["results"][0]
        tensors = {Tensor(name): tensor for name, tensor in rotated["tensors"].items() if tensor is not None}
        return IeeeFrame(rotated["rotation"], f"{rotated['axes']}; the rotation's rows are X, Y, Z", tensors)

    def structure_text(self, facts: dict[str, Any], format: str) -> str:
        """A crystal as a file."""
        from gmt_tasks.export.structure_text import structure_text

        return structure_text(facts, format)

    def csv(self, blocks: Iterable[Hits], fields: Sequence[str]) -> Iterator[str]:
        """Hits with the given fields and every tensor component as CSV, some at a time."""
        from gmt_tasks.export.csv_text import csv_blocks

        return (text for text, _ in csv_blocks(blocks, fields))

    def extxyz(self, hits: Hits) -> str:
        """Hits as frames of extended XYZ, with tensors and intervals."""
        from gmt_tasks.export.structure_text import facts_of_hit, structure_text

        return "".join(structure_text(facts_of_hit(hits, place), "extxyz") for place in range(len(hits.rows)))

    def write_parquet(self, blocks: Iterable[Hits], fields: Sequence[str], file: Path) -> None:
        """Writes hits with the given fields, structures and tensors as one Parquet file."""
        from gmt_tasks.export.parquet import write_parquet

        write_parquet(blocks, fields, file)

    def literature(self, source_ids: Sequence[str], result: dict[str, Any]) -> list[LiteratureValue]:
        """Published values of a crystal that has some, beside those of a result."""
        from flows.reports.crystal_view import literature_rows

        return [LiteratureValue(*row) for row in literature_rows(source_ids, result)]

    def reliability(self, result: dict[str, Any]) -> list[str]:
        """How reliable a result is, in sentences."""
        from flows.reports.crystal_view import reliability_lines

        return list(reliability_lines(result.get("trust", {})))

    def scoreboard(self) -> dict[str, Any]:
        """The scoreboard that came with the program, or that a command has kept since."""
        from gmt_tasks.evaluation.scoreboard.stored import read_stored

        return read_stored().to_json()

    def second_opinions(self, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """The second opinions about a crystal for reading, the newest first."""
        from dataclasses import asdict

        from gmt_tasks.export.second_opinion import MODULI_NOTE, opinion_reports

        return [asdict(report) | {"moduli_note": MODULI_NOTE} for report in opinion_reports(facts)]
