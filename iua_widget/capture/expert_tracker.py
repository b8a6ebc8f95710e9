"""Splitting responses by expert, and counting the tokens that each expert gets."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from iua_widget.capture.captured_response import CapturedResponse
from iua_widget.capture.expert_modules import ListedExpert, routing_of, sizes_given
from iua_widget.capture.findings import Findings, RepeatBatch
from iua_widget.capture.frame import Frame
from iua_widget.capture.mixture import Mixture
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.routing import AllExperts, ExpertRows, Routing, SortedExperts, Tokens
from iua_widget.capture.selection import Selection
from iua_widget.capture.token_rows import places_among


class ExpertTracker:
    """Splits responses by expert, and counts the tokens that each expert gets.

    Parameters
    ----------
    names : ModuleNames
    selection : Selection
    findings : Findings
        Added to.
    real : callable
        Given a layer's name and how many tokens it has, which of them are no padding: bool, of
        that length; None where all are.
    """

    def __init__(
        self,
        names: ModuleNames,
        selection: Selection,
        findings: Findings,
        real: Callable[[str, int], np.ndarray | None],
    ) -> None:
        self._names = names
        self._selection = selection
        self._findings = findings
        self._real = real
        self._calls: Counter[str] = Counter()
        self._routed: dict[str, torch.Tensor] = {}

    def begin_pass(self) -> None:
        """Count calls of modules of experts anew."""
        self._calls.clear()

    def enter(self, frame: Frame) -> None:
        """Note where tokens go, as an expert or a module of experts is called."""
        frame.routing = routing_of(frame.module, *frame.given)
        if frame.routing is not None:
            self._number(frame)
        frame.listed = self._names.experts.get(frame.name)
        if frame.listed is not None:
            self._route_to(frame, frame.listed)

    def leave(self, frame: Frame) -> None:
        """Note how many tokens each expert was given, as a module of experts returns.

        Raises
        ------
        RepeatBatch
            If what was taken for the experts' responses one by one is not.
        """
        if frame.routing is not None:
            self._end_routing(frame, frame.routing)
        caller = frame.caller
        sizes = None if caller is None else sizes_given(frame.module, *frame.given)
        # The caller has sorted tokens by expert: it has given them to this module so.
        if sizes is not None and caller is not None and caller.caller and caller.routing is None:
            rows = frame.rows
            tokens = None if rows is None else self._tokens_of(rows, caller, caller.name)[0]
            caller.routing = SortedExperts(sizes, tokens)
            self._number(caller)

    def split(self, captured: CapturedResponse, frame: Frame) -> list[CapturedResponse]:
        """A response, or one for each expert, named as if it were a module of its own.

        Raises
        ------
        RepeatBatch
            If it is one of several experts, in an order that is not known.
        """
        layer, experts = captured.layer, frame.experts()
        within = None if experts is None else self._within(experts.name, layer.name)
        if experts is None or within is None:
            return [captured]
        captured = replace(captured, routed=bool(within) or experts.listed is not None)
        if experts.listed is not None:
            listed, tokens = experts.listed, experts.tokens
            if tokens is not None and len(tokens.index) != len(captured.tensor):
                tokens = None
            one = replace(captured, tokens=tokens)
            self._mixture(listed.module).add(listed.expert, one)
            return [one]
        if experts.routing is None or not within or layer.name in self._findings.unsplit:
            return [captured]
        part = captured.name[len(layer.name) :]
        path = re.sub(r"^:\d+", "", part)
        found = self._rows_by_expert(experts, experts.routing, captured, path)
        if found is None:
            return [captured]
        if experts.routing.eager:
            part = f":{experts.number}{path}" if experts.number else path
        mixture = self._mixture(experts.name, experts.routing.experts)
        split = []
        for of in found:
            inner = mixture.experts[of.expert] + within
            one = replace(
                captured,
                name=inner + part,
                tensor=of.tensor,
                layer=replace(layer, name=inner),
                channel_axis=of.tensor.ndim - 1,
                tokens=of.tokens,
                before=of.before,
                parameters=None,
            )
            mixture.add(of.expert, one)
            split.append(one)
        return split

    def loads(self) -> Iterator[CapturedResponse]:
        """After the pass, the load of each expert, once for each of its layers.

        An expert that no token was routed to has the layers that the others have.
        """
        for module, counts in self._routed.items():
            mixture = self._findings.mixtures[module]
            mixture.complete(self._has)
            yield from mixture.loads(counts)

    def _number(self, frame: Frame) -> None:
        frame.number = self._calls[frame.name]
        self._calls[frame.name] += 1

    def _rows_by_expert(
        self, frame: Frame, routing: Routing, captured: CapturedResponse, path: str
    ) -> list[ExpertRows] | None:
        """The rows of each expert; None where a response is not one of several experts."""
        layer = captured.layer.name
        call = frame.calls[layer + path]
        frame.calls[layer + path] += 1
        if isinstance(routing, AllExperts):
            routing.last = self._findings.experts_last.get(layer)
        found = routing.split(captured.tensor, call)
        if captured.before is not None and found is not None:
            before = routing.split(captured.before, call) or []
            found = [
                replace(of, before=given.tensor) for of, given in zip(found, before, strict=True)
            ]
        if isinstance(routing, AllExperts) and found is not None:
            self._findings.experts_last[layer] = routing.last
        if found is None and routing.sure:
            self._findings.unsplit.add(layer)
            raise RepeatBatch
        return found

    def _within(self, module: str, layer: str) -> str | None:
        """The rest of the name of a layer within a module, empty for itself; None if outside."""
        if layer == module or layer.startswith((f"{module}.", f"{module}/")):
            return layer[len(module) :]
        return f".{layer}" if module == self._names.root else None

    def _mixture(self, module: str, experts: int = 0) -> Mixture:
        mixtures = self._findings.mixtures
        if module not in mixtures:
            listed = [name for name, of in self._names.experts.items() if of.module == module]
            names = listed or [f"{module}.{expert}" for expert in range(experts)]
            mixtures[module] = Mixture(module, tuple(names))
        return mixtures[module]

    def _route_to(self, frame: Frame, listed: ListedExpert) -> None:
        """Note which tokens an expert that is a module of its own is given."""
        caller = frame.caller
        if caller is not None and caller.routing is not None and caller.name == listed.module:
            frame.tokens = caller.routing.tokens(listed.expert)
            return  # the others are counted with it
        rows, counted = frame.rows, 0
        if rows is not None:
            counted = len(rows)
            frame.tokens, real = self._tokens_of(rows, caller, frame.name)
            if real is None:
                real = self._real(frame.name, len(rows))
            if real is not None:
                counted = int(real.sum())
        experts = len(self._mixture(listed.module).experts)
        counts = torch.zeros(experts, dtype=torch.int64, device="cpu")
        counts[listed.expert] = counted
        self._add(listed.module, counts)

    def _tokens_of(
        self, rows: torch.Tensor, caller: Frame | None, layer: str
    ) -> tuple[Tokens | None, np.ndarray | None]:
        """Which of the caller's tokens these rows are, and which of the rows are not padding.

        Only where there is padding is that worth its time.
        """
        among = None if caller is None else caller.rows
        real = None if among is None else self._real(layer, len(among))
        if among is None or real is None:
            return None, None
        places = places_among(rows, among, real)
        if places is None:
            return None, None
        return Tokens(places, len(among)), real[places.cpu().numpy()]

    def _end_routing(self, frame: Frame, routing: Routing) -> None:
        wrong = [
            base.partition("[")[0]
            for base, calls in frame.calls.items()
            if routing.eager and calls != len(routing.hit())
        ]
        if not self._findings.unsplit.issuperset(wrong):
            self._findings.unsplit.update(wrong)
            raise RepeatBatch
        counts = routing.counts(functools.partial(self._real, frame.name))
        if counts is not None:
            self._mixture(frame.name, routing.experts)
            self._add(frame.name, counts)

    def _add(self, module: str, counts: torch.Tensor) -> None:
        before = self._routed.get(module)
        self._routed[module] = counts if before is None else before + counts

    def _has(self, expert: str, captured: CapturedResponse, like: CapturedResponse) -> bool:
        """Whether an expert that was not called would have had a layer."""
        if expert not in self._names.experts:
            return True  # all are computed by one module
        if expert in self._findings.calls:
            return False
        modules, name = self._names.modules, captured.layer.name
        if name in modules:
            return self._selection.wants_call(modules[name], captured.name)
        caller, _, function = name.rpartition("/")
        same = type(modules.get(caller)) is type(modules.get(like.layer.name.rpartition("/")[0]))
        return same and self._selection.wants_function(function, captured.name, inside=False)
