"""Meshes as binary STL files."""

from pathlib import Path

import numpy as np

from gmt_tasks.export.whole_file import whole_file
from models.beam_lattice.net import Floats

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = b"gmtscreen beam lattice, millimetre"


def write_stl(triangles: Floats, out: Path) -> Path:
    """Writes triangles; the file appears when it is complete.

    Args:
        triangles: corners in millimetre, anticlockwise seen from outside, [n_triangles, 3, 3].
        out: file to write.

    Returns:
        The file.

    Source: 3D Systems, StereoLithography interface specification (1989): 80 bytes, a count, 50 bytes per triangle.
    """
    records = np.zeros(len(triangles), dtype=_RECORD)
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    records["normal"] = normal / np.where(length > 0, length, 1.0)
    records["corners"] = triangles
    with whole_file(out) as part, part.open("wb") as stream:
        stream.write(_HEADER.ljust(80))
        stream.write(np.uint32(len(triangles)).astype("<u4").tobytes())
        stream.write(records.tobytes())
    return out
