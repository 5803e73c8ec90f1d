"""The yardstick of bench `detect`: facenet-pytorch's MTCNN on the pictures named on stdin, one a line.

Prints seconds spent detecting (decoding left out) and pictures with a face. Needs: pip install facenet-pytorch==2.6.0
"""
import sys, time
from PIL import Image
from facenet_pytorch import MTCNN

paths = [line.rstrip("\n") for line in sys.stdin if line.strip()]
detector = MTCNN(keep_all=True, thresholds=[0.5, 0.6, 0.7], device="cpu")
pictures = [Image.open(path).convert("RGB") for path in paths]
detector.detect(pictures[0])
began = time.perf_counter()
found = sum(detector.detect(picture)[0] is not None for picture in pictures)
print(time.perf_counter() - began, found)
