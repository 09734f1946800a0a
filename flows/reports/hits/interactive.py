"""Pictures as files: those of matplotlib, and interactive ones as one HTML file that needs nothing from elsewhere.

plotly's script is written into the page.
"""

import html
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.terminal.console import plain
from gmt_tasks.export.whole_file import whole_file
from models.errors import GmtError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 1.2rem auto; max-width: 72rem; padding: 0 1rem; color: #1a1a1a; }}
h1 {{ font-size: 1.15rem; margin: 0; }}
p {{ margin: .2rem 0 .6rem; color: #555; overflow-wrap: anywhere; }}
#plot {{ height: 78vh; min-height: 26rem; }}
</style>
<h1>{title}</h1>
{notes}
<div id="plot"></div>
<script>{script}</script>
<script>
const picture = {picture};
Plotly.newPlot("plot", picture.data, picture.layout, {{responsive: true, displaylogo: false}});
</script>
</html>
"""


def plotly_script() -> str:
    """plotly's minified script, out of the installed package.

    Raises:
        GmtError: plotly is not installed.
    """
    found = find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        raise GmtError("plotly is not installed. Install it with pip install plotly, or write a .png or .svg file.")
    script = Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    return script.read_text(encoding="utf-8")


def save_figure(figure: "Figure", out: Path) -> Path:
    """Writes a figure of matplotlib in the format of the file's ending; it appears when it is complete."""
    with whole_file(out) as part:
        figure.savefig(part, dpi=figure.dpi, format=out.suffix[1:].lower())
    return out


def write_page(title: str, notes: list[str], data: list[dict[str, Any]], layout: dict[str, Any], out: Path) -> Path:
    """Writes a picture of plotly as a page of its own.

    Args:
        title: a heading; text, no HTML.
        notes: lines below it; text, no HTML.
        data: plotly's traces; numpy arrays are allowed.
        layout: plotly's layout.
        out: file to write.

    Returns:
        The file.
    """
    # A text could end the script element: "<" stands for itself only outside of it.
    picture = json.dumps(plain({"data": data, "layout": layout}), allow_nan=False).replace("<", "\\u003c")
    lines = "\n".join(f"<p>{html.escape(line)}</p>" for line in notes)
    page = _PAGE.format(title=html.escape(title), notes=lines, script=plotly_script(), picture=picture)
    with whole_file(out) as part:
        part.write_text(page, encoding="utf-8")
    return out
