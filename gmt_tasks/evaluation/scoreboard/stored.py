"""The scoreboard that is kept for documents and explorer.

It lies beside the weights, because it says how good these are, and comes with them: every database, a fresh one too,
shows it, and whoever has the benchmarks' files replaces it table by table.
"""

import json
from pathlib import Path

from gmt_tasks.evaluation.scoreboard.board import Scoreboard
from models.errors import ModelError
from models.gmtnet.card import WEIGHTS_FOLDER

STORED = WEIGHTS_FOLDER / "scoreboard.json"


def read_stored(path: Path = STORED) -> Scoreboard:
    """The board that is kept; an empty one where there is none.

    Raises:
        ModelError: the file is no scoreboard.
    """
    try:
        return Scoreboard.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Scoreboard()
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}. Make it anew: gmtscreen scoreboard --into-explorer.") from error


def write_stored(board: Scoreboard, path: Path = STORED) -> None:
    """Keeps a board for documents and explorer."""
    text = json.dumps(board.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)
