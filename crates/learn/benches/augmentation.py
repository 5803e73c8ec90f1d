"""The yardstick of bench `augmentation`: torchvision.transforms.v2 on the crops of stdin (BATCH x SIDE x SIDE x CHANNELS bytes).

Prints CPU microseconds a face, on one thread. Arguments: batch, channels, side, rounds, degrees, scale, shift, light, erase.
Needs: pip install torch torchvision
"""
import sys, time
import torch
from torchvision.transforms import v2

torch.set_num_threads(1)
batch, channels, side, n_rounds = map(int, sys.argv[1:5])
degrees, scale, shift, light, erase = map(float, sys.argv[5:10])
crops = torch.frombuffer(bytearray(sys.stdin.buffer.read()), dtype=torch.uint8).reshape(batch, side, side, channels)
crops = [crop.contiguous() for crop in crops.permute(0, 3, 1, 2)]
one = v2.Compose([
    v2.RandomHorizontalFlip(0.5),
    v2.RandomAffine(degrees, (shift, shift), (1 - scale, 1 + scale), interpolation=v2.InterpolationMode.BILINEAR),
    v2.ColorJitter(brightness=light, contrast=light),
    v2.ToDtype(torch.float32, scale=True),
    v2.Normalize([0.5] * channels, [0.25] * channels),
    v2.RandomErasing(0.5, scale=(0.001, erase * erase)),
])
mix = v2.MixUp(alpha=0.2, num_classes=8)
labels = torch.arange(batch) % 8


def batch_of():
    return mix(torch.stack([one(crop) for crop in crops]), labels)


batch_of()
began = time.process_time()
for _ in range(n_rounds):
    batch_of()
print((time.process_time() - began) * 1e6 / (n_rounds * batch))
