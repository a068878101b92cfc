"""The supervised contrastive loss alone, in a training loop that is somebody else's: one import.

No matrix of N × N is ever built, so the batch may be as large as the network allows.
Run: python examples/07_supcon_in_your_own_loop.py
"""

import torch
from torch.nn import functional as F

from smoothswap.ops import supcon_loss

torch.manual_seed(0)
CLASSES, N, PIXELS = 20, 256, 64  # kinds of pictures, pictures in a batch, numbers in a picture
patterns = torch.randn(2, CLASSES, PIXELS)  # a picture shows one of two patterns of its class, under noise


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(CLASSES, (N,))
    return patterns[torch.randint(2, (N,)), labels] + 1.5 * torch.randn(N, PIXELS), labels


@torch.no_grad()
def share_right() -> float:
    """Of new pictures, the share whose nearest neighbour among others belongs to their class."""
    (known, known_labels), (asked, labels) = batch(), batch()
    nearest = (F.normalize(net(asked), dim=1) @ F.normalize(net(known), dim=1).T).argmax(1)
    return (known_labels[nearest] == labels).float().mean().item()


net = torch.nn.Sequential(torch.nn.Linear(PIXELS, 256), torch.nn.ReLU(), torch.nn.Linear(256, 32))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(201):
    pictures, labels = batch()
    loss = supcon_loss(F.normalize(net(pictures), dim=1), labels, temperature=0.1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step:3}: loss {loss.item():.3f}, nearest neighbour right {share_right():.0%}")
