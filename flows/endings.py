"""How a run ends that did its work and whose result is refused, and who is informed of the end of a run.

A refusal is no fault and no success: the state is named "Refused", so that Prefect's page does not show it among the
completed runs, and its type is that of failures, so that automations and hooks for failures see it. No flow here is
retried, so a refusal is not tried again.
"""

from typing import TYPE_CHECKING, Any

from models.errors import GmtError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.flows import Flow

REFUSED = "Refused"


class RefusedResultError(GmtError):
    """A run did its work and its result is refused; `facts` is what the run would have returned."""

    def __init__(self, message: str, facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


def refused(message: str, facts: Any) -> "State[Any]":
    """The state of a run whose result is refused; whoever called the flow directly meets a `RefusedResultError`.

    Args:
        message: what is refused and why, one line.
        facts: what the run would have returned.
    """
    from prefect.states import Failed

    return Failed(name=REFUSED, message=message, data=RefusedResultError(message, facts))


def notify(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
    """Sends how a run of a deployment ended to the people behind `GMTSCREEN_NOTIFY`; a hook of the flows.

    A run at a terminal says so there. What cannot be sent is logged by Prefect and changes no state.

    Args:
        flow: of the run.
        flow_run: the run.
        state: its last one.
    """
    from prefect.blocks.core import Block

    from gmt_tasks.settings import load_settings
    from gmt_tasks.telemetry import redact

    block = load_settings().notify
    if block is None or flow_run.deployment_id is None:
        return
    recipient: Any = Block.load(block)
    subject = f"gmtscreen {flow.name}: {state.name}"
    # Errors are free of secrets; a URL in the text of a library might not be.
    recipient.notify(redact(f"{flow_run.name}: {state.message or state.name}"), subject=subject)


ON_FAULT: dict[str, Any] = {"on_failure": [notify], "on_crashed": [notify]}
"""Options of flows whose success is no news."""
