"""`fake_cli` for designs: arithmetic instead of a model, small batches of the real generator."""

from functools import partial

from gmt_tasks.design import session as design_session
from models.wyckoff import generator
from tests.flows.cli import fake_cli
from tests.flows.conftest import describe_fake

BATCH = 8
"""Crystals that are begun together, so that a round has a middle."""


def patched_batch() -> None:
    """Makes the batches of generators small."""
    generator.BATCH = BATCH
    generator.Generator.write_batch.__defaults__ = (BATCH,)


if __name__ == "__main__":
    vars(design_session)["describe_model"] = describe_fake
    patched_batch()
    fake_cli.run(describe_model=describe_fake, load_worker=partial(fake_cli.slow_worker))
