"""Small sound files of every format, and monsters made of them."""

import gzip
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CUBE = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
CIF = """data_{name}
_cell_length_a {a}
_cell_length_b 4.0
_cell_length_c 4.0
_cell_angle_alpha {alpha}
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M '{group}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""
SITES = "Na1 Na 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1"
POSCAR = "cell\n1.0\n{a} 0 0\n{shear} 4 0\n0 0 {c}\n{species}\n{counts}\nDirect\n{sites}\n"
FRAME = '{n}\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 energy=-1.5 name="{name}"\n{atoms}\n'


def cif(name: str = "x", a: str = "4.0", alpha: str = "90", group: str = "P 1", sites: str = SITES) -> str:
    return CIF.format(name=name, a=a, alpha=alpha, group=group, sites=sites)


def poscar(**changes: str) -> str:
    sound = {"a": "4.0", "shear": "0", "c": "4.0", "species": "Na Cl", "counts": "1 1", "sites": "0 0 0\n0.5 0.5 0.5"}
    return POSCAR.format(**(sound | changes))


def record(**more: Any) -> dict[str, Any]:
    return {"lattice": CUBE, "species": ["Na", "Cl"], "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]], **more}


def frame(name: str = "f", atoms: str = "Na 0 0 0\nCl 2 2 2", n: str = "2") -> str:
    return FRAME.format(name=name, atoms=atoms, n=n)


def parquet_bytes(n_rows: int = 3, **columns: Any) -> bytes:
    table: dict[str, Any] = {
        "id": [f"row-{k}" for k in range(n_rows)],
        "lattice": [[float(x) for vector in CUBE for x in vector]] * n_rows,
        "species": [[11, 17]] * n_rows,
        "frac_coords": [[0.0, 0.0, 0.0, 0.5, 0.5, 0.5]] * n_rows,
        "gap": [0.1 * k for k in range(n_rows)],
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(table | columns), sink)
    return sink.getvalue()


def no_utf8(n_rows: int) -> pa.Array:
    """A text column that is no UTF-8, which Parquet does not forbid."""
    offsets = pa.py_buffer(np.arange(0, 2 * n_rows + 1, 2, dtype=np.int32).tobytes())
    return pa.Array.from_buffers(pa.string(), n_rows, [None, offsets, pa.py_buffer(b"\xff\xfe" * n_rows)])


def twice_a_column() -> bytes:
    """Parquet with two columns named lattice."""
    table = pq.read_table(io.BytesIO(parquet_bytes()))
    sink = io.BytesIO()
    pq.write_table(table.append_column("lattice", table["lattice"]), sink)
    return sink.getvalue()


def zip_bytes(members: dict[str, bytes], link: str | None = None) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/hostname")
    return sink.getvalue()


def tar_bytes(members: dict[str, bytes], odd: dict[str, bytes] | None = None, mode: str = "w:gz") -> bytes:
    """A tar; `odd` are members of another type (b"2" a symbolic link, b"1" a hard one, b"3" a device)."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, kind in (odd or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/hostname"
            archive.addfile(info)
    return sink.getvalue()


def sound_files() -> dict[str, bytes]:
    """One sound file of each format: what the fuzzer mutates."""
    lines = "\n".join(json.dumps(record(id=f"r{k}", gap=k)) for k in range(3))
    sites = "Na1 Na 0 0 0 1\nCl1 Cl 0.5 0 0 1"
    return {
        "a.cif": cif().encode(),
        "cubic.cif": cif(group="F m -3 m", sites=sites).encode(),
        "two.cif": (cif("one") + cif("two", a="5.0")).encode(),
        "POSCAR": poscar().encode(),
        "cell.vasp": poscar(sites="0 0 0 T T F\n0.5 0.5 0.5 F F F").encode(),
        "rows.jsonl": lines.encode(),
        "rows.jsonl.gz": gzip.compress(lines.encode(), mtime=0),
        "one.json": json.dumps({"structure": record(), "id": "j"}).encode(),
        "frames.extxyz": (frame() + frame("g", "Na 0 0 0\nF 2 2 2")).encode(),
        "table.parquet": parquet_bytes(),
        "nested.parquet": parquet_bytes(lattice=[CUBE] * 3, species=[["Na", "Cl"]] * 3),
        "a.zip": zip_bytes({"x.cif": cif().encode(), "sub/rows.jsonl": lines.encode(), "t.parquet": parquet_bytes()}),
        "a.tar.gz": tar_bytes({"x.cif": cif().encode(), "sub/POSCAR": poscar().encode()}),
        "a.tar": tar_bytes({"x.json": json.dumps(record()).encode()}, mode="w"),
    }


def make_special_files(folder: Path) -> None:
    """A link to nothing and a pipe, both named like crystals."""
    (folder / "dangling.cif").symlink_to("nowhere.cif")
    os.mkfifo(folder / "pipe.cif")
