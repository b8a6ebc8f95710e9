"""The main job in one command: find the units that a learning rate has killed.

Trains the net of `digits.py` twice, counts the inactive units of both over all 1,797 scans, prints
the layer tables, and writes the interactive widget to demo.html.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import digits
import torch
from torch import nn

from iua_widget import IUA, IUAWidget

COLUMNS = ["response", "mean inactive", "std inactive", "inactive share", "units", "dead units"]


class Pair(nn.Module):
    """Both nets on the same images, so that one table shows them together."""

    def __init__(self, healthy: nn.Module, dying: nn.Module) -> None:
        super().__init__()
        self.healthy = healthy
        self.dying = dying

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The class scores of both."""
        return self.healthy(images), self.dying(images)


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description="Find the units that a learning rate has killed.")
    parser.add_argument("--output", type=Path, default=Path("demo.html"))
    output = parser.parse_args().output
    images, _ = digits.load()
    nets = {}
    for name, rate in (("healthy", digits.HEALTHY_RATE), ("dying", digits.DEADLY_RATE)):
        nets[name], accuracy = digits.train(rate)
        print(f"\n{name}: learning rate {rate:g}, accuracy {accuracy:.1%} on scans held out")
        iua = IUA.introspect(nets[name], images, batch_size=64, progress=True)
        print(IUA.show(iua)[COLUMNS].to_string(index=False, float_format="{:.3f}".format))
    widget = IUAWidget(Pair(**nets), images, batch_size=64, background=False)
    widget.layer = "dying.relu2"
    path = widget.to_html(output, title="Digits: a healthy net and one whose ReLUs died")
    print(f"\nThe widget, sliders and all, is in {path}: open it in a browser.")


if __name__ == "__main__":
    main()
