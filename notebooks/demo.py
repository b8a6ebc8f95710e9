"""The main job in one command: find the units that a learning rate has killed.

Trains the net of `digits.py` twice, counts the inactive units of both over all 1,797 scans, prints
the table of layers, and writes the interactive widget to demo.html.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import digits
import pandas as pd
import torch
from torch import nn

from iua_widget import IUA, IUAWidget

COLUMNS = ["response", "mean inactive", "std inactive", "inactive share", "units", "dead units"]
TITLE = "A learning rate too high killed these ReLUs"


class TwoNets(nn.Module):
    """Both nets on the same images, so that one table shows them together."""

    def __init__(self, healthy: nn.Module, dying: nn.Module) -> None:
        super().__init__()
        self.healthy = healthy
        self.dying = dying

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The class scores of both."""
        return self.healthy(images), self.dying(images)


def story(layers: pd.DataFrame, accuracy: dict[str, float], scans: int) -> str:
    """What the page shows, in a sentence: `layers` begin with those of most dead units."""
    dead = {name: f"{share:.0%}" for name, share in layers[["response", "dead share"]].to_numpy()}
    worst, next_worst = [name for name in dead if name.startswith("dying")][:2]
    healthy, next_healthy = (name.replace("dying", "healthy") for name in (worst, next_worst))
    return (
        "The same small conv net, trained twice on scans of handwritten digits: at a learning rate "
        f"of {digits.DEADLY_RATE:g}, {dead[worst]} of the units in {worst} and {dead[next_worst]} "
        f"of those in {next_worst} give zero for all {scans:,} scans ({dead[healthy]} and "
        f"{dead[next_healthy]} at a rate of {digits.HEALTHY_RATE:g}), and of the scans held out it "
        f"reads {accuracy['dying']:.0%}, where the healthy net reads {accuracy['healthy']:.0%}."
    )


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description="Find the units that a learning rate has killed.")
    parser.add_argument("--output", type=Path, default=Path("demo.html"))
    output = parser.parse_args().output
    images, _ = digits.load()
    nets, accuracy = {}, {}
    for name, rate in (("healthy", digits.HEALTHY_RATE), ("dying", digits.DEADLY_RATE)):
        nets[name], accuracy[name] = digits.train(rate)
        print(f"{name}: learning rate {rate:g}, {accuracy[name]:.1%} of scans held out are right")
    iua = IUA.introspect(TwoNets(**nets), images, batch_size=64, progress=True)
    layers = IUA.show(iua)
    print(layers[COLUMNS].to_string(index=False, float_format="{:.3f}".format))
    layers = layers.sort_values("dead share", ascending=False)
    widget = IUAWidget(iua, name="two small conv nets")
    widget.layer = layers["response"].iloc[0]
    path = widget.to_html(output, title=TITLE, text=story(layers, accuracy, len(images)))
    print(f"The widget, sliders and all, is in {path}: open it in a browser.")


if __name__ == "__main__":
    main()
