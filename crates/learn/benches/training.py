"""The yardstick of training.rs: the same networks in PyTorch. Prints images a second.

training.py NAME BATCH SIDE STEPS WIDTHS BLOCKS
"""

import sys
import time

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, start, to, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(start, to, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(to)
        self.conv2 = nn.Conv2d(to, to, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(to)
        changes = start != to or stride != 1
        self.around = nn.Sequential(nn.Conv2d(start, to, 1, stride, bias=False), nn.BatchNorm2d(to)) if changes else nn.Identity()

    def forward(self, x):
        inner = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(inner + self.around(x))


class Heads(nn.Module):
    def __init__(self, body, width):
        super().__init__()
        self.body, self.expression, self.affect = body, nn.Linear(width, 8), nn.Linear(width, 2)

    def forward(self, x):
        features = self.body(x)
        return self.expression(features), self.affect(features)


def backbone(widths, blocks):
    layers = [nn.Conv2d(1, widths[0], 5, 2, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
    start = widths[0]
    for group, (width, n) in enumerate(zip(widths, blocks)):
        for block in range(n):
            layers.append(Block(start, width, 2 if block == 0 and group > 0 else 1))
            start = width
    return Heads(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2)), start)


def alexnet():
    pool = lambda: nn.MaxPool2d(3, 2, 1)
    body = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), pool(), nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), pool(),
        nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), pool(), nn.AdaptiveAvgPool2d(6), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(256 * 36, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(),
    )
    return Heads(body, 4096)


name, batch, side, n_steps = sys.argv[1], *map(int, sys.argv[2:5])
torch.manual_seed(1)
net = alexnet() if name == "alexnet" else backbone(*(list(map(int, text.split(","))) for text in sys.argv[5:7]))
optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
faces = torch.randn(batch, 3 if name == "alexnet" else 1, side, side)
for step in range(n_steps + 1):
    if step == 1:
        began = time.perf_counter()
    logits, affect = net(faces)
    loss = -logits.log_softmax(1).mean() + (affect * affect).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
print(n_steps * batch / (time.perf_counter() - began))
