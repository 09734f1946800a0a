"""What a person asks of a retraining: the one list of its options, their defaults and descriptions.

The command `retrain` has one option per field, the flow and its deployments one parameter per field of
`RetrainOptions`. Nothing heavy is imported here: the help of the command line needs these names.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gmt_tasks.options import Option

if TYPE_CHECKING:
    from gmt_tasks.settings import Settings


@dataclass(frozen=True)
class Placement:
    """Where a retraining computes and leaves its files; see the fields."""

    workers: Annotated[int | None, Option("Networks trained side by side.", minimum=1, default="one per core")] = None
    ray_address: Annotated[
        str | None, Option("Ray cluster to train on, host:port.", default="$GMTSCREEN_RAY_ADDRESS")
    ] = None
    runs: Annotated[Path, Option("Folder of retrainings; a stopped one goes on.")] = Path("runs/retrain")
    device: Annotated[str, Option("Where candidates are trained, calibrated and compared: auto, cpu or cuda.")] = "auto"

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}


@dataclass(frozen=True)
class RetrainOptions:
    """Options of a retraining; see the fields."""

    config: Annotated[str, Option("A .toml file, or the name of a shipped training configuration.")] = "gmtnet"
    epochs: Annotated[int | None, Option("Not the configuration's (or the share of fine-tuning).", minimum=1)] = None
    members: Annotated[
        int | None, Option("Networks of the ensemble.", minimum=1, default="as many as the current model has")
    ] = None
    from_scratch: Annotated[bool, Option("Random weights instead of the current ones.")] = False
    promote: Annotated[
        bool, Option("What passes the gate goes live at once; --no-promote leaves that to a person.")
    ] = True
    where: Annotated[Placement, Option("workers, ray_address, runs, device; what is not named keeps its default.")] = (
        Placement()
    )

    def placed_by(self, settings: "Settings") -> "RetrainOptions":
        """The same on the cluster and the device of the settings, where the options themselves name none.

        Args:
            settings: of the command, or of the environment in which a schedule starts a retraining.
        """
        address = self.where.ray_address or settings.ray_address
        device = settings.device if self.where.device == "auto" else self.where.device
        return replace(self, where=replace(self.where, ray_address=address, device=device))

    def absolute(self) -> "RetrainOptions":
        """The same with absolute paths: a scheduled run begins in another folder."""
        config = str(Path(self.config).absolute()) if self.config.endswith(".toml") else self.config
        return replace(self, config=config, where=replace(self.where, runs=self.where.runs.absolute()))
