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

OPTICAL_CLASSES = """
UPDATE results SET optical_class =
  CASE WHEN spacegroup >= 195 THEN 'isotropic' WHEN spacegroup >= 75 THEN 'uniaxial' ELSE 'biaxial' END
WHERE optical_class IS NOT NULL AND spacegroup IS NOT NULL
"""

OPTIC_SIGNS = """
UPDATE results SET optic_sign = (
  SELECT CASE WHEN excess > 1e-6 THEN '+' WHEN excess < -1e-6 THEN '-' END
  FROM (SELECT 2 - middle / eps_electronic_min - middle / eps_electronic_max AS excess
        FROM (SELECT 3 * eps_electronic_mean - eps_electronic_min - eps_electronic_max AS middle) AS trace) AS rule
)
WHERE optical_class IN ('uniaxial', 'biaxial') AND eps_electronic_min > 0
"""


def upgrade() -> None:
    """Adds and fills the columns; some ten seconds per million rows."""
    op.add_column("inputs", sa.Column("doubts", KEY))
    op.add_column("crystals", sa.Column("formula_anonymous", KEY))
    fill_doubts(op.get_bind())
    fill_anonymous_formulas(op.get_bind())
    doubtful = sa.text("doubts IS NOT NULL")
    covered = ["run_id", "outcome", "doubts", "crystal_id"]
    name = f"ix_inputs_{'_'.join(covered)}"
    op.create_index(name, "inputs", covered, sqlite_where=doubtful, postgresql_where=doubtful)
    op.create_index("ix_crystals_formula_anonymous", "crystals", ["formula_anonymous"])
    # a database that was made by this program has the column from its first revision on
    if "optic_sign" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("results")}:
        op.add_column("results", sa.Column("optic_sign", KEY))
    op.execute(sa.text(OPTICAL_CLASSES))
    op.execute(sa.text(OPTIC_SIGNS))


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
