"""An options type becomes the options of a command and the parameters of a flow, with nothing said twice."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from flows.parameters import command_options, flow_parameters, from_parameters, to_parameters
from gmt_tasks.options import Option


@dataclass(frozen=True)
class Place:
    n_cores: Annotated[int | None, Option("Cores.", minimum=1)] = None


@dataclass(frozen=True)
class Baking:
    flour: Annotated[str, Option("Kind of flour.")]
    n_loaves: Annotated[int, Option("Loaves.", maximum=9, name="loaves")] = 2
    salted: Annotated[bool, Option("Whether salt is added.")] = True
    where: Annotated[Place, Option("Where.")] = Place()
    internal: list[str] = field(default_factory=list)


def run(*words: str) -> tuple[int, list[Any]]:
    """Exit code, and what the command was called with."""
    calls: list[Any] = []
    app = typer.Typer()

    @app.command()
    @command_options(Baking)
    def bake(*, options: Baking, quick: bool = False) -> None:
        calls.extend([options, quick])

    return CliRunner().invoke(app, list(words)).exit_code, calls


def test_a_command_has_one_option_per_described_field_beside_its_own() -> None:
    assert run("--flour", "rye") == (0, [Baking("rye"), False])
    words = ("--flour", "rye", "--loaves", "3", "--no-salted", "--n-cores", "2", "--quick")
    assert run(*words) == (0, [Baking("rye", 3, salted=False, where=Place(2)), True])


@pytest.mark.parametrize(
    "words",
    [(), ("--flour", "rye", "--loaves", "10"), ("--flour", "rye", "--n-cores", "0"), ("--flour", "rye", "--salted")],
)
def test_what_is_missing_out_of_bounds_or_no_option_is_bad_usage(words: tuple[str, ...]) -> None:
    assert run(*words) == (2, [])


def test_names_and_descriptions_come_from_the_type() -> None:
    import inspect

    @command_options(Baking)
    def bake(*, options: Baking) -> None: ...

    assert list(inspect.signature(bake).parameters) == ["flour", "n_loaves", "salted", "n_cores"]

    @flow_parameters(Baking)
    def flow(**parameters: Any) -> None:
        """Bakes."""

    assert list(inspect.signature(flow).parameters) == ["flour", "n_loaves", "salted", "where"]
    assert "n_loaves: Loaves." in (flow.__doc__ or "")


def test_parameters_are_plain_data_and_come_back_as_options() -> None:
    options = Baking("rye", 3, where=Place(2))
    plain = to_parameters(options)
    assert plain["where"] == {"n_cores": 2}
    assert from_parameters(Baking, plain) == options
    assert from_parameters(Baking, {"flour": "rye", "where": None}) == Baking("rye")
    with pytest.raises(ValueError, match="n_loaves"):
        from_parameters(Baking, {"flour": "rye", "n_loaves": "many"})
