"""`gmtscreen`: every command by name. What a command needs is imported when it runs, so that help is immediate."""

import os
import signal
import sys

import typer

from flows.cli import (
    design,
    doctor,
    ensemble,
    equivariance,
    ingest,
    labels,
    models,
    registry,
    retrain,
    scoreboard,
    screen,
    suggest,
)
from flows.cli.results import compare, compare_models, designs, export, lattice, plot, query, serve, show, status
from flows.cli.runs import refine
from flows.terminal.console import Exit, errors_as_lines, errors_as_one_line, fail, say
from gmt_tasks.import_guard import ForeignPackageError, put_root_first, refuse_foreign_packages

app = typer.Typer(
    name="gmtscreen",
    help="Screen crystals for dielectric, piezoelectric and elastic tensors.",
    epilog="Example: gmtscreen screen reference && gmtscreen query 'k_vrh_gpa > 150' --sort -d_max_pc_per_n",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(
    name="models",
    help="Model versions.",
    epilog="Example: gmtscreen models list",
    no_args_is_help=True,
)
labels_app = typer.Typer(
    name="labels",
    help="Label batches: what came, and how to take it back.",
    epilog="Example: gmtscreen labels list",
    no_args_is_help=True,
)

COMMANDS = (
    (app, "doctor", doctor.doctor, "gmtscreen doctor --json"),
    (app, "screen", screen.screen, "gmtscreen screen candidates.parquet --db hits.db --workers 8"),
    (app, "ingest", ingest.ingest, "gmtscreen ingest labels/ --labels --db hits.db"),
    (app, "predict", screen.predict, "gmtscreen predict POSCAR quartz.cif --out tensors.jsonl"),
    (app, "status", status.status, "gmtscreen status --db hits.db"),
    (app, "rejects", status.rejects, "gmtscreen rejects --db hits.db 1"),
    (app, "show", show.show, "gmtscreen show reference:aln"),
    (app, "query", query.query, "gmtscreen query 'elements HAS \"N\" AND k_vrh_gpa > 200' --sort -k_vrh_gpa"),
    (app, "export", export.export, "gmtscreen export 'preset:piezo' --to piezo.extxyz --limit 100 --db hits.db"),
    (app, "plot", plot.plot, "gmtscreen plot 'NOT metal' --x k_vrh_gpa --y d_max_pc_per_n --pareto --out hits.html"),
    (app, "surface", plot.surface, "gmtscreen surface reference:aln --property young --out aln.html"),
    (app, "lattice", lattice.lattice, "gmtscreen lattice octet --density 0.05 --surface octet.png --stl octet.stl"),
    (app, "serve", serve.serve, "gmtscreen serve --db hits.db"),
    (app, "suggest", suggest.suggest, "gmtscreen suggest --property k_vrh_gpa --n 20 --db hits.db --out jobs"),
    (app, "refine", refine.refine, "gmtscreen refine 'NOT metal' --top 50 --sort -d_max_pc_per_n --db hits.db"),
    (
        app,
        "design",
        design.design,
        "gmtscreen design 'eps_total_mean < 30 AND NOT metal AND NOT ood' --sort -d_max_pc_per_n --db designs.db",
    ),
    (app, "designs", designs.designs, "gmtscreen designs 1 --db designs.db"),
    (app, "compare", compare.compare, "gmtscreen compare reference:aln reference:gan --db hits.db"),
    (app, "retrain", retrain.retrain, "gmtscreen retrain --db hits.db --no-promote"),
    (app, "train", models.train, "gmtscreen train gmtnet --out runs/gmtnet --data labels/"),
    (app, "evaluate", models.evaluate, "gmtscreen evaluate gmtnet --data labels/"),
    (app, "scoreboard", scoreboard.scoreboard, "gmtscreen scoreboard --jarvis jarvis_leaderboard --section jarvis"),
    (app, "calibrate", ensemble.calibrate, "gmtscreen calibrate runs/gmtnet/gmtnet.json --data labels/"),
    (app, "equivariance", equivariance.equivariance, "gmtscreen equivariance candidates.parquet --candidates 500"),
    (labels_app, "list", labels.list_batches, "gmtscreen labels list --db hits.db"),
    (labels_app, "show", labels.show, "gmtscreen labels show 1 --db hits.db"),
    (labels_app, "retract", labels.retract, 'gmtscreen labels retract 1 --why "unconverged" --db hits.db --dry-run'),
    (models_app, "list", models.list_models, "gmtscreen models list --json"),
    (models_app, "show", registry.show, "gmtscreen models show gmtnet --db hits.db"),
    (
        models_app,
        "promote",
        registry.promote,
        'gmtscreen models promote runs/gmtnet --why "longer training" --db hits.db',
    ),
    (models_app, "rollback", registry.rollback, 'gmtscreen models rollback gmtnet --why "d33 looks odd" --db hits.db'),
    (
        models_app,
        "compare",
        compare_models.compare_models,
        "gmtscreen models compare gmtnet@0.3.1 gmtnet@0.4.0 --sort -k_vrh_gpa --db hits.db",
    ),
    (models_app, "prune", registry.prune, 'gmtscreen models prune gmtnet@1 --why "replaced" --db hits.db'),
    (models_app, "join", ensemble.join, "gmtscreen models join runs/a runs/b runs/c --out runs/ensemble"),
)
"""Where each command hangs, its name, its function and an example that its help shows."""

# Registered here and not where they are written: the functions stay plain ones, callable from tests and other commands.
for _parent, _name, _function, _example in COMMANDS:
    _parent.command(_name, epilog=f"Example: {_example}")(errors_as_one_line(_function))
# The former name of `equivariance`: scripts go on working, help no longer lists it.
app.command("exactness", hidden=True)(errors_as_one_line(equivariance.equivariance))
app.add_typer(models_app, name="models")
app.add_typer(labels_app, name="labels")


_WITH_TEMPORARY_FILES = {"design", "screen", "ingest", "predict", "refine", "retrain"}
"""Commands that read sources or start servers: what they keep in temporary files must go when they are killed, too."""


def without_password(words: list[str]) -> tuple[list[str], str | None]:
    """A command line without the `--db` whose URL holds a password.

    Args:
        words: the command line.

    Returns:
        The remaining words, and the URL; None when there was none with a password.
    """
    from gmt_tasks.telemetry import redact

    for place, word in enumerate(words):
        # Both ways of writing it: --db=URL and --db URL.
        option, joined, value = word.partition("=")
        last = place if joined else place + 1
        url = value if joined else "".join(words[last : last + 1])
        if option == "--db" and redact(url) != url:
            return words[:place] + words[last + 1 :], url
    return words, None


def hide_password() -> None:
    """Starts this process anew when its arguments hold a password: every user of the machine can read them.

    The URL goes into the environment instead. What Ray records as the command of a run is then free of it too.
    """
    words, url = without_password(sys.orig_argv[1:])
    if url is not None:
        say("the password in --db was visible to other users for a moment: put such a URL into GMTSCREEN_DB instead")
        os.execve(sys.executable, [sys.executable, *words], {**os.environ, "GMTSCREEN_DB": url})  # noqa: S606  no shell


def main() -> None:
    """Entry point of the command `gmtscreen`."""
    hide_password()
    # Before any command imports: a package of the same name in the working folder must not stand in for ours.
    put_root_first()
    try:
        refuse_foreign_packages()
    except ForeignPackageError as error:
        sys.exit(fail(str(error), Exit.BAD_USAGE).code)
    if not _WITH_TEMPORARY_FILES.isdisjoint(sys.argv[1:2]):
        from gmt_tasks.workers.run_folder import hold_temporary_files

        with errors_as_lines(Exit.BAD_USAGE):
            hold_temporary_files()
    else:
        # Whoever is ended by a scheduler or a closed terminal removes its half-written files, too.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, lambda received, _: sys.exit(128 + received))
    app()


if __name__ == "__main__":
    main()
