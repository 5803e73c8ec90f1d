"""The yardstick of bench `predict`: fer with MTCNN on the pictures named on stdin, one a line.

Prints wall seconds and CPU seconds of decoding, detecting and reading, its start and first picture left out, and faces
found. Needs: pip install fer==25.10.3 tensorflow
"""
import os, sys, time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import cv2
from fer.fer import FER

paths = [line.rstrip("\n") for line in sys.stdin if line.strip()]
detector = FER(mtcnn=True)
detector.detect_emotions(cv2.imread(paths[0]))
wall, cpu = time.perf_counter(), time.process_time()
n_faces = n_failed = 0
for path in paths:
    picture = cv2.imread(path)
    try:
        n_faces += len(detector.detect_emotions(picture))
    except Exception:
        n_failed += 1
print(time.perf_counter() - wall, time.process_time() - cpu, n_faces, n_failed, file=sys.__stdout__)
