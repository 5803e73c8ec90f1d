"""Writes conventional_goldens.json: HOG by scikit-image and linear machines by scikit-learn, of numbers from a formula.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install scikit-image scikit-learn numpy
    /tmp/goldens/bin/python crates/learn/tests/conventional_goldens.py

Pictures and features are a hash of their place, the same in tests/conventional.rs, so that the file has results only.
"""
import json, pathlib

import numpy as np
import skimage, sklearn
from skimage.feature import hog
from sklearn.svm import LinearSVC, LinearSVR


def hashed(a, b):
    """A 32-bit hash of two arrays of places."""
    h = np.asarray(a, np.uint32) * np.uint32(2654435761) + np.asarray(b, np.uint32) * np.uint32(40503)
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return h ^ (h >> np.uint32(16))


def picture(height, width, channels):
    """Slopes with noise: a hash alone has no orientation."""
    y, x, c = np.mgrid[:height, :width, :channels]
    return ((x * 5 + y * 3 * (c + 1) + (hashed(y * width + x, c) >> np.uint32(27))) % 256).astype(np.uint8)


hogs = []
for height, width, channels, orientations, cell, block, norm in [
    (40, 33, 1, 9, (8, 8), (2, 2), "L2-Hys"), (40, 33, 3, 9, (8, 8), (2, 2), "L2-Hys"),
    (30, 41, 1, 8, (7, 5), (2, 3), "L1"), (30, 41, 3, 12, (9, 10), (3, 2), "L1-sqrt"),
    (16, 16, 1, 6, (4, 4), (1, 1), "L2"), (5, 4, 3, 4, (2, 1), (1, 2), "L2"),
]:
    image = picture(height, width, channels)
    found = hog(image if channels == 3 else image[..., 0], orientations, cell, block, norm,
                channel_axis=-1 if channels == 3 else None)
    hogs.append(dict(height=height, width=width, channels=channels, orientations=orientations, pixels_per_cell=cell,
                     cells_per_block=block, block_norm=norm, values=[round(float(v), 7) for v in found]))

N, D, K = 400, 37, 4
rows, columns = np.mgrid[:N, :D]
X = (hashed(rows, columns) >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24) - np.float32(0.5)
random = np.random.default_rng(7)
scores = X @ random.normal(size=(D, K)) + random.normal(scale=0.5, size=(N, K)) + np.array([1.2, 0.3, -0.3, -1.0])
y = scores.argmax(1)
targets = np.round(np.clip(0.4 * X @ random.normal(size=D) + random.normal(scale=0.2, size=N), -1, 1), 4)
counts = np.bincount(y)


def spelled(coefficients, bias):
    return [[round(float(v), 8) for v in [*w, b]] for w, b in zip(np.atleast_2d(coefficients), np.atleast_1d(bias))]


def objective(w, b, beyond, cost, loss):
    return float(0.5 * (w @ w + b * b) + (cost * (beyond if loss == "l1" else beyond**2)).sum())


machines = []
for loss in ("l1", "l2"):
    for weights, given in (("none", None), ("balanced", "balanced"), ("rarest", dict(enumerate(counts.min() / counts)))):
        C = 0.7
        m = LinearSVC(loss={"l1": "hinge", "l2": "squared_hinge"}[loss], dual=True, C=C, class_weight=given, tol=1e-9,
                      max_iter=10_000_000, random_state=0).fit(X, y)
        of_class = {"none": np.ones(K), "balanced": N / (K * counts), "rarest": counts.min() / counts}[weights]
        found = []
        for k in range(K):
            sign = np.where(y == k, 1, -1)
            w, b = m.coef_[k], m.intercept_[k]
            beyond = np.maximum(0, 1 - sign * (X @ w + b))
            found.append(objective(w, b, beyond, np.where(y == k, C * of_class[k], C), loss))
        machines.append(dict(kind="classes", loss=loss, weights=weights, cost=C, objectives=found,
                             coefficients=spelled(m.coef_, m.intercept_)))
    for epsilon in (0.0, 0.1):
        C = 0.5
        m = LinearSVR(loss={"l1": "epsilon_insensitive", "l2": "squared_epsilon_insensitive"}[loss], dual=True, C=C,
                      epsilon=epsilon, tol=1e-9, max_iter=10_000_000, random_state=0).fit(X, targets)
        w, b = m.coef_.ravel(), float(np.ravel(m.intercept_)[0])
        beyond = np.maximum(0, np.abs(X @ w + b - targets) - epsilon)
        machines.append(dict(kind="targets", loss=loss, epsilon=epsilon, cost=C,
                             objectives=[objective(w, b, beyond, C, loss)], coefficients=spelled(w, b)))

out = dict(by=f"scikit-image {skimage.__version__}, scikit-learn {sklearn.__version__}", hog=hogs, n_faces=N, n_features=D,
           classes="".join(map(str, y)), targets=targets.tolist(), machines=machines)
text = json.dumps(out).replace('{"height"', '\n{"height"').replace('{"kind"', '\n{"kind"').replace('"targets": [', '\n"targets": [')
pathlib.Path(__file__).with_suffix(".json").write_text(text + "\n")
print(counts, len(text))
