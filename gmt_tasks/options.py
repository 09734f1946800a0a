"""What a field of an options type says of itself: command line, flow and deployments take it from there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """Stands in the annotation of a field: `epochs: Annotated[int | None, Option("...", minimum=1)] = None`.

    Attributes:
        text: description.
        minimum, maximum: bounds of a number.
        name: on the command line where it is not the field's name.
        default: the default in words, where None stands for what is known later.
    """

    text: str
    minimum: int | None = None
    maximum: int | None = None
    name: str = ""
    default: str = ""
