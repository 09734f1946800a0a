"""Options that several commands share."""

from typing import Annotated

import typer

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Files, folders or globs (CIF, POSCAR, JSON, .jsonl, .parquet), also s3:// and gs://, or named: "
        "reference, prototypes:n=1000, substitutions:near=BaTiO3, strained:of=ID, defects:of=ID; from the "
        "network: mp:chemsys=Al-N, jarvis:dft_3d, 'optimade:URL?filter=FILTER'.",
        show_default=False,
    ),
]
# None instead of a default, here and below: only what is given on the command line overrides the environment.
Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        help="SQLite path or SQLAlchemy URL; default $GMTSCREEN_DB, else gmtscreen.db. A URL with a password belongs "
        "in the variable: command lines are visible to other users.",
        show_default=False,
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="NAME, NAME@VERSION or a checkpoint folder; default gmtnet.", show_default=False),
]
Symprec = Annotated[
    float | None,
    typer.Option("--symprec", help="Symmetry tolerance in angstrom; default 0.01.", show_default=False),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Take only the first N inputs.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]
AssumeP1 = Annotated[
    bool, typer.Option("--assume-p1", help="Read a CIF whose space group cannot be resolved as having no symmetry.")
]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda; default auto.", show_default=False)]
RunNumber = Annotated[
    int | None, typer.Argument(metavar="[RUN]", help="Number of a run; default all.", show_default=False)
]
Diverse = Annotated[bool, typer.Option("--diverse", help="Leave out crystals that are too much like a better one.")]
ResultsOf = Annotated[str | None, typer.Option("--model", help="Results of NAME or NAME@VERSION.", show_default=False)]
