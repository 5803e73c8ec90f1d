"""The yardsticks of bench `decode`: torchvision and Pillow on the JPEGs named on stdin, one a line.

Each: decoding, the crop, 224x224 with antialiasing, f32 from 0 to 1, on one thread. Prints CPU milliseconds a picture of
torchvision, then of Pillow. Arguments: left, top, side of the crop, rounds. Needs: pip install torch torchvision pillow
"""
import io, sys, time
import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.functional import resize

torch.set_num_threads(1)
left, top, side, n_rounds = map(int, sys.argv[1:])
pictures = [open(line.rstrip("\n"), "rb").read() for line in sys.stdin if line.strip()]


def by_torchvision(jpeg):
    picture = decode_jpeg(torch.frombuffer(bytearray(jpeg), dtype=torch.uint8), mode=ImageReadMode.RGB)
    crop = picture[:, top : top + side, left : left + side]
    return resize(crop, [224, 224], antialias=True).to(torch.float32).div_(255)


def by_pillow(jpeg):
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    crop = picture.resize((224, 224), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(crop, dtype=np.float32) / 255


def cpu_ms(read):
    for jpeg in pictures[:5]:
        read(jpeg)
    began = time.process_time()
    for _ in range(n_rounds):
        for jpeg in pictures:
            read(jpeg)
    return (time.process_time() - began) * 1000 / (n_rounds * len(pictures))


print(cpu_ms(by_torchvision), cpu_ms(by_pillow))
