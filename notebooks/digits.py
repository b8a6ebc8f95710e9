"""A small conv net on scikit-learn's handwritten digits: 1,797 real scans of 8 x 8 pixels."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

torch.set_num_threads(1)  # in a net this small, a second thread is waited for longer than it helps

HEALTHY_RATE = 0.05
DEADLY_RATE = 0.2


class DigitsNet(nn.Module):
    """Two convolutions and a dense layer, each with a ReLU of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.dense = nn.Linear(32 * 4 * 4, 64)
        self.relu3 = nn.ReLU()
        self.out = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores, shape (batch, 10), for images of shape (batch, 1, 8, 8)."""
        maps = self.relu1(self.conv1(images))
        maps = self.pool(self.relu2(self.conv2(maps)))
        return self.out(self.relu3(self.dense(maps.flatten(1))))


def load() -> tuple[torch.Tensor, torch.Tensor]:
    """All scans as images in [0, 1], shape (1797, 1, 8, 8), and their digits."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    return images, torch.tensor(digits.target)


def train(learning_rate: float, *, epochs: int = 8, seed: int = 0) -> tuple[DigitsNet, float]:
    """Train a new net on 1,500 scans; return it with its accuracy on the other 297."""
    torch.manual_seed(seed)
    images, digits = load()
    order = torch.randperm(len(images))
    training, held_out = order[:1500], order[1500:]
    net = DigitsNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    for _ in range(epochs):
        for batch in training[torch.randperm(len(training))].split(50):
            optimizer.zero_grad()
            functional.cross_entropy(net(images[batch]), digits[batch]).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
    with torch.no_grad():
        guesses = net(images[held_out]).argmax(dim=1)
    return net, (guesses == digits[held_out]).float().mean().item()
