"""Small convolutional nets that several tests share."""

from __future__ import annotations

import torch
from torch import nn


class TwoConvolutions(nn.Module):
    """Two convolutions that share a ReLU, and a linear layer with a tanh that is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.conv2 = nn.Conv2d(4, 5, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.conv2(self.relu(self.conv1(x))))
        return torch.tanh(self.fc(x.mean(dim=(2, 3))))

    @staticmethod
    def images(count: int) -> torch.Tensor:
        return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
