"""What readers doubt as a column of its inputs, anonymous formulas, and optical classes that follow the point group.

Of what is stored: doubts are read out of the notes, anonymous formulas out of the formulas. Optical classes were those
of the predicted values, which may be degenerate by accident; now they are those of the space group that was used. The
optic sign follows from the principal values: the middle one is what lowest and highest leave of the trace.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

from db.doubts import doubts_column, doubts_of, notes_of
from models.crystals.formula import anonymous_formula

revision = "0006"
down_revision = "0005"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds and fills the columns; a minute or two per million rows."""
    op.add_column("inputs", sa.Column("doubts", KEY))
    op.add_column("crystals", sa.Column("formula_anonymous", KEY))
    fill_doubts(op.get_bind())
    fill_anonymous_formulas(op.get_bind())
    doubtful = sa.column("doubts").is_not(None)
    covered = ["run_id", "outcome", "doubts", "crystal_id"]
    name = f"ix_inputs_{'_'.join(covered)}"
    op.create_index(name, "inputs", covered, sqlite_where=doubtful, postgresql_where=doubtful)
    op.create_index("ix_crystals_formula_anonymous", "crystals", ["formula_anonymous"])
    # a database that was made by this program has the column from its first revision on
    if "optic_sign" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("results")}:
        op.add_column("results", sa.Column("optic_sign", KEY))
    fill_optics(op.get_bind())


def fill_doubts(connection: sa.Connection) -> None:
    """The doubts of stored inputs, from their notes."""
    inputs = sa.table("inputs", *map(sa.column, ("run_id", "source_index", "position", "metadata", "doubts")))
    keys = [inputs.c.run_id, inputs.c.source_index, inputs.c.position]
    with_notes = sa.select(*keys, inputs.c.metadata).where(inputs.c.metadata.like('%"notes"%'))
    doubtful = [
        {"run": row.run_id, "source": row.source_index, "place": row.position, "found": doubts}
        for row in connection.execute(with_notes.execution_options(yield_per=1000))
        if (doubts := doubts_column(doubts_of(notes_of(row.metadata))))
    ]
    at_input = [key == sa.bindparam(name) for key, name in zip(keys, ("run", "source", "place"), strict=True)]
    if doubtful:
        connection.execute(sa.update(inputs).where(*at_input).values(doubts=sa.bindparam("found")), doubtful)


def fill_anonymous_formulas(connection: sa.Connection) -> None:
    """The anonymous formulas of stored crystals, once per formula."""
    crystals = sa.table("crystals", sa.column("formula"), sa.column("formula_anonymous"))
    formulas = connection.execute(sa.select(crystals.c.formula).distinct()).scalars().all()
    rows = [{"formula_is": formula, "anonymous": anonymous_formula(formula)} for formula in formulas]
    of_formula = crystals.c.formula == sa.bindparam("formula_is")
    if rows:
        connection.execute(
            sa.update(crystals).where(of_formula).values(formula_anonymous=sa.bindparam("anonymous")), rows
        )


def fill_optics(connection: sa.Connection) -> None:
    """Classes by space group in place of those by values, and the signs that the stored principal values give."""
    names = ("spacegroup", "optical_class", "optic_sign")
    numbers: list[sa.ColumnClause[float]] = [
        sa.column(f"eps_electronic_{name}", sa.Double()) for name in ("min", "mean", "max")
    ]
    results = sa.table("results", *map(sa.column, names), *numbers)
    group, of_class, (lowest, mean, highest) = results.c.spacegroup, results.c.optical_class, numbers
    by_group = sa.case((group >= 195, "isotropic"), (group >= 75, "uniaxial"), else_="biaxial")
    known = sa.and_(of_class.is_not(None), group.is_not(None))
    connection.execute(sa.update(results).where(known).values(optical_class=by_group))
    middle = 3 * mean - lowest - highest
    excess = 2 - middle / lowest - middle / highest
    sign = sa.case((excess > 1e-6, "+"), (excess < -1e-6, "-"))
    anisotropic = sa.and_(of_class.in_(["uniaxial", "biaxial"]), lowest > 0)
    connection.execute(sa.update(results).where(anisotropic).values(optic_sign=sign))
