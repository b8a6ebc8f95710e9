"""`LayerChain`: the layer that makes some units, what takes them, and all that is between."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import fx, nn

from iua_widget.remedies.steps import (
    NotAChainError,
    Step,
    axis_read,
    is_shape,
    mean_axes,
    step_of,
)
from iua_widget.remedies.traced_model import Part, Place, TracedModel
from iua_widget.remedies.weight_axes import WeightAxes, axes_of, is_depthwise


@dataclass(frozen=True, slots=True)
class LayerChain:
    """Operations one after another, from the layer that makes units to the one that takes them.

    Attributes
    ----------
    part : Part
    nodes : tuple of torch.fx.Node
        The first and the last call a Linear or Conv layer.
    measured : int
        Which of them gives what a run has counted.
    sides : tuple of tuple of torch.fx.Node
        Other layers by whose units these are multiplied, each with what is between.
    units : int
        That the first makes.
    positions : int
        Inputs of the last for each unit: several behind a convolution that was flattened.
    flat_from : int
        From which node on units are flattened; beyond all where they are not.
    """

    part: Part
    nodes: tuple[fx.Node, ...]
    measured: int
    sides: tuple[tuple[fx.Node, ...], ...]
    units: int
    positions: int
    flat_from: int

    @property
    def producers(self) -> tuple[fx.Node, ...]:
        """What makes the units: several layers where these are multiplied."""
        return (self.nodes[0], *(side[0] for side in self.sides))

    @property
    def consumer(self) -> fx.Node:
        """What takes the units."""
        return self.nodes[-1]

    @property
    def by_unit(self) -> list[tuple[fx.Node, int]]:
        """What is between and has parameters for each unit, and for how many positions of each."""
        path = [
            (node, self.positions if place >= self.flat_from else 1)
            for place, node in enumerate(self.nodes[1:-1], start=1)
        ]
        path += [(node, 1) for side in self.sides for node in side[1:]]
        with_parameters = {Step.BY_UNIT, Step.DEPTHWISE}
        return [(node, of) for node, of in path if step_of(node, self.part) in with_parameters]

    def module(self, node: fx.Node) -> nn.Module:
        """The module that one of its nodes calls."""
        module = self.part.module(node)
        if module is None:  # never of a layer
            raise NotAChainError(self.part.called(node))
        return module

    def axes(self, node: fx.Node) -> WeightAxes:
        """The axes of the weight of one of its layers."""
        return _axes(node, self.part)


def find_chain(traced: TracedModel, layer: str) -> LayerChain:
    """The chain that a layer of a run is in.

    Raises
    ------
    NotAChainError
        If it is in none, or in one whose weights serve elsewhere as well.
    """
    place = traced.place(layer)
    if place is None:
        reason = "torch.fx, PyTorch's tracer, does not see it"
        if traced.why_not_whole:
            reason += f": the model cannot be traced as a whole ({traced.why_not_whole})"
        raise NotAChainError(reason)
    chain = _follow(place)
    for node in (*chain.producers, *(node for node, _ in chain.by_unit), chain.consumer):
        _check_own(traced, chain, node)
    return chain


def _follow(place: Place) -> LayerChain:
    part = place.part
    sides: list[tuple[fx.Node, ...]] = []
    back = _back(place.node, part, sides)
    nodes, measured = list(back), len(back) - 1
    while True:
        node = nodes[-1]
        following = _only_user(node, part)
        step = step_of(following, part)
        if step is Step.PRODUCT:
            sides.append(_other_side(following, node, part))
        nodes.append(following)
        if step is Step.LAYER:
            break
    return _checked(part, nodes, measured, sides)


def _back(node: fx.Node, part: Part, sides: list[tuple[fx.Node, ...]]) -> list[fx.Node]:
    """From the layer that makes the units to this node."""
    path = [node]
    while (step := step_of(path[0], part)) is not Step.LAYER:
        before = _input(path[0], part)
        if step is Step.PRODUCT:
            sides.append(_other_side(path[0], before, part))
        path.insert(0, before)
    for one, following in pairwise(path):
        if _only_user(one, part) is not following:
            raise _not_known_use(one, part)
    return path


def _other_side(product: fx.Node, known: fx.Node, part: Part) -> tuple[fx.Node, ...]:
    """The layer whose units are the other factor, and what is between."""
    others = [node for node in product.all_input_nodes if node is not known]
    deeper: list[tuple[fx.Node, ...]] = []
    side = _back(others[0], part, deeper)
    allowed = {Step.EACH, Step.DROPOUT, Step.BY_UNIT}
    if deeper or any(step_of(node, part) not in allowed for node in side[1:]):
        raise _not_known_use(product, part)
    if _only_user(side[-1], part) is not product:
        raise _not_known_use(side[-1], part)
    return tuple(side)


def _input(node: fx.Node, part: Part) -> fx.Node:
    """What a node works on."""
    given = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
    if isinstance(given, fx.Node):
        return given
    first = next(iter(node.all_input_nodes), None)
    if first is None:
        raise _not_known_use(node, part)
    return first


def _only_user(node: fx.Node, part: Part) -> fx.Node:
    """What uses a response, lengths of its axes aside, where that is one operation."""
    users: list[fx.Node] = []
    reads: list[fx.Node] = []
    for user in node.users:
        if is_shape(user):
            reads += list(user.users)
        else:
            (users if axis_read(user) is None else reads).append(user)
    if any(read.users and axis_read(read) != 0 for read in reads):
        reason = f"how many units {part.called(node)} has is read in the code"
        raise NotAChainError(reason)
    if len(users) != 1:
        where = ", ".join(part.called(user) for user in users)
        reason = f"{part.called(node)} is used in {len(users)} places ({where}), not in one"
        raise NotAChainError(reason)
    return users[0]


def _not_known_use(node: fx.Node, part: Part) -> NotAChainError:
    return NotAChainError(f"what {part.called(node)} does to its units is not known")


def _axes(node: fx.Node, part: Part) -> WeightAxes:
    module = part.module(node)
    axes = None if module is None else axes_of(module)
    if axes is None:
        raise _not_known_use(node, part)
    return axes


def _weight(node: fx.Node, part: Part) -> nn.Parameter:
    """The weight of a layer, a parameter of its own.

    Raises
    ------
    NotAChainError
        If it is computed, or the layer is grouped.
    """
    module: Any = part.module(node)
    weight: nn.Parameter = module._parameters.get("weight")  # noqa: SLF001
    if weight is None:
        raise _computed_weight(node, part)
    if (groups := getattr(module, "groups", 1)) != 1:
        reason = f"{part.called(node)} is a grouped convolution (groups={groups})"
        raise NotAChainError(reason)
    return weight


def _computed_weight(node: fx.Node, part: Part) -> NotAChainError:
    return NotAChainError(
        f"the weight of {part.called(node)} is computed, and no parameter of its own"
    )


def _checked(
    part: Part, nodes: list[fx.Node], measured: int, sides: list[tuple[fx.Node, ...]]
) -> LayerChain:
    first, last = _axes(nodes[0], part), _axes(nodes[-1], part)
    units = _weight(nodes[0], part).shape[first.out]
    for side in sides:
        axes = _axes(side[0], part)
        if axes.positions != first.positions or _weight(side[0], part).shape[axes.out] != units:
            reason = (
                f"{part.called(nodes[0])} and {part.called(side[0])}, which are multiplied, do not "
                "have the same units"
            )
            raise NotAChainError(reason)
    flat_from = _flat_from(part, nodes, first.positions)
    flat = flat_from < len(nodes)
    if last.positions != (0 if flat else first.positions):
        raise _does_not_fit(nodes, part)
    positions, rest = divmod(_weight(nodes[-1], part).shape[last.into], units)
    flattened = any(step_of(node, part) is Step.FLATTEN for node in nodes)
    if rest or not positions or (positions > 1 and not (first.positions and flattened)):
        raise _does_not_fit(nodes, part)
    chain = LayerChain(part, tuple(nodes), measured, tuple(sides), units, positions, flat_from)
    for node, of in chain.by_unit:
        if not _fits(chain.module(node), units * of, first.positions):
            raise _does_not_fit(nodes, part)
    return chain


def _fits(module: Any, units: int, positions: int) -> bool:
    """Whether what has parameters for each unit has them for so many, with such positions."""
    if is_depthwise(module):
        return bool(module.out_channels == units and module.weight.ndim == positions + 2)
    return bool(getattr(module, "num_features", getattr(module, "num_parameters", None)) == units)


def _flat_from(part: Part, nodes: list[fx.Node], positions: int) -> int:
    """From which node on units come last, without positions."""
    flat_from = len(nodes) if positions else 0
    for place, node in enumerate(nodes[1:-1], start=1):
        step, flat = step_of(node, part), place > flat_from
        if step is Step.FLATTEN and not flat:
            flat_from = place
        elif step is Step.MEAN and not flat:
            axes, stay = mean_axes(node)
            over = {axis % (positions + 2) for axis in axes}
            if over != set(range(2, positions + 2)):
                raise _not_known_use(node, part)
            flat_from = flat_from if stay else place
        elif (
            step is Step.MEAN
            or (flat and step in {Step.POOL, Step.DEPTHWISE})
            or (flat and positions and step is Step.PRODUCT)
        ):
            raise _not_known_use(node, part)
    return flat_from


def _does_not_fit(nodes: list[fx.Node], part: Part) -> NotAChainError:
    return NotAChainError(
        f"{part.called(nodes[-1])} does not take the units of {part.called(nodes[0])} as they are"
    )


def _check_own(traced: TracedModel, chain: LayerChain, node: fx.Node) -> None:
    module = chain.module(node)
    if "weight" not in module._parameters:  # noqa: SLF001
        raise _computed_weight(node, chain.part)
    reason = traced.why_shared(module, chain.part.called(node))
    if reason:
        raise NotAChainError(reason)
