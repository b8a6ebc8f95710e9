"""Evidence of a response in a batch: its rows, and those of its pre-activations, laid out alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iua_widget.common.tensors import is_complex, is_tensor
from iua_widget.tally.unit_evidence import BatchEvidence
from iua_widget.units.arrange import arrange
from iua_widget.units.masking import ON_HOST, Masking
from iua_widget.units.response import Response, as_response
from iua_widget.units.rule import Origin, UnitPlan

_ROWS_AND_UNITS = 2


def batch_evidence(
    response: Response, plan: UnitPlan, origin: Origin, masking: Masking, **place: Any
) -> BatchEvidence | None:
    """What a response tells of its units, and what its pre-activations do.

    Parameters
    ----------
    response : Response
    plan : UnitPlan
        What a unit is.
    origin : Origin
        Of which the mask, the pre-activations and the activation are used.
    masking : Masking
        For responses that stay on a device.
    **place
        ``layer`` and ``batch``, for errors.
    """
    stays = is_tensor(response.values)
    before = None
    if origin.before is not None and tuple(origin.before.shape) == response.shape:
        given = as_response(origin.before, stays=lambda _: stays, **place)
        if not is_complex(given.values):
            before = given.values

    def rows(values: Any) -> Any:
        if plan.choice == "element" or plan.channel_axis is None:
            return arrange(values, plan).values
        # Of channels that have a row each it is not known which are padding.
        whole = plan.choice == "channel" and values.ndim == _ROWS_AND_UNITS
        mask = None if whole else origin.mask
        by_row = replace(plan, choice="token")
        return arrange(values, by_row, mask, masking if stays else ON_HOST).values

    inputs = None if before is None else rows(before)
    return BatchEvidence.of(rows(response.values), inputs, origin.activation)
