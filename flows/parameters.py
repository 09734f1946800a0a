"""Options types as arguments: a command gets one option per field, a flow one parameter per field.

Names, defaults and descriptions stand in the options type alone (`gmt_tasks.options.Option` in its annotations).
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from gmt_tasks.options import Option

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def command_options(options_type: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a command whose keyword argument `options` is of the type: it gets one option per described field.

    Fields of a nested type stand beside the others. A switch is named by what it changes: `--from-scratch` where the
    default is False, `--no-promote` where it is True.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters: list[inspect.Parameter] = []
        for own in inspect.signature(command, eval_str=True).parameters.values():
            parameters += _command_parameters(options_type) if own.name == "options" else [own]

        @functools.wraps(command)
        def with_options(**given: Any) -> None:
            options = _build(options_type, given)  # takes its arguments out of `given`
            command(options=options, **given)

        # What typer reads instead of the arguments of the function.
        with_options.__dict__["__signature__"] = inspect.Signature(parameters)
        with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return with_options

    return decorate


def flow_parameters(options_type: type[Any]) -> Callable[[F], F]:
    """Decorates the function of a flow with arguments `**parameters`: Prefect sees one parameter per field.

    A field of a nested type is a dictionary, None for its defaults.
    """

    def decorate(function: F) -> F:
        hints, parameters, lines = get_type_hints(options_type), [], []
        for field, option in _described(options_type):
            nested = is_dataclass(hints[field.name])
            parameters.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=None if nested else field.default,
                    annotation=dict[str, Any] | None if nested else hints[field.name],
                )
            )
            lines.append(f"    {field.name}: {option.text}")
        # Set on the function itself: Prefect finds a flow again by the file that its function is written in.
        function.__dict__["__signature__"] = inspect.Signature(parameters)
        # Prefect shows the section "Args" beside the parameters of a deployment.
        function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Args:", *lines])
        return function

    return decorate


def to_parameters(options: "DataclassInstance") -> dict[str, Any]:
    """Options as plain data that Prefect can store."""
    from pydantic import TypeAdapter

    plain: dict[str, Any] = TypeAdapter(type(options)).dump_python(options, mode="json")
    return plain


def from_parameters(options_type: type[T], parameters: dict[str, Any]) -> T:
    """Options from the parameters of a flow; None leaves the default of a nested type.

    Raises:
        ValueError: a value or a name does not belong to the type.
    """
    from pydantic import TypeAdapter

    hints = get_type_hints(options_type)
    # A nested type is no type of None: leaving the name out is what gives its defaults.
    absent = [name for name, value in parameters.items() if value is None and is_dataclass(hints.get(name))]
    given = {name: value for name, value in parameters.items() if name not in absent}
    return TypeAdapter(options_type).validate_python(given)


def _described(options_type: type[Any]) -> Iterator[tuple[Field[Any], Option]]:
    """The fields of a type that say something of themselves."""
    hints = get_type_hints(options_type, include_extras=True)
    for field in fields(options_type):
        for option in getattr(hints[field.name], "__metadata__", ()):
            if isinstance(option, Option):
                yield field, option


def _command_parameters(options_type: type[Any]) -> Iterator[inspect.Parameter]:
    """One argument per described field, annotated for typer."""
    hints = get_type_hints(options_type)
    for field, option in _described(options_type):
        if is_dataclass(hints[field.name]):
            yield from _command_parameters(hints[field.name])
            continue
        name = "--" + (option.name or field.name).replace("_", "-")
        # In typer's notation nothing stands before the slash where a switch can only be turned off.
        declared = f" /{name.replace('--', '--no-', 1)}" if field.default is True else name
        described = typer.Option(
            declared,
            help=option.text,
            min=option.minimum,
            max=option.maximum,
            show_default=option.default
            or not (field.default in (None, "", MISSING) or isinstance(field.default, bool)),
        )
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=Annotated[hints[field.name], described],
        )


def _build(options_type: type[Any], given: dict[str, Any]) -> Any:
    """An instance of the type from arguments, which are taken out of `given`."""
    hints, values = get_type_hints(options_type), {}
    for field, _ in _described(options_type):
        kind: type[Any] = hints[field.name]
        values[field.name] = _build(kind, given) if is_dataclass(kind) else given.pop(field.name)
    return options_type(**values)
