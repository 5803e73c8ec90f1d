"""Writes evaluation_goldens.json: calibration, temperature, McNemar and Holm by NumPy, SciPy and statsmodels.

python3 -m venv /tmp/v && /tmp/v/bin/pip install numpy scipy statsmodels && /tmp/v/bin/python evaluation_goldens.py
"""

import json
import pathlib

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

random = np.random.default_rng(11)


def drawn(n, k, sharpness):
    """Over-confident probabilities: the truth follows softmax(z), what is stated softmax(sharpness * z)."""
    z = random.normal(size=(n, k)) * 1.5
    p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
    truth = np.array([random.choice(k, p=row) for row in p])
    stated = np.exp(sharpness * z - logsumexp(sharpness * z, axis=1, keepdims=True))
    # As a file has them: six decimals, hence also zeros.
    return truth, np.round(stated, 6)


def renormalised(p):
    return p / p.sum(axis=1, keepdims=True)


def scaled(p, temperature):
    logits = np.log(np.maximum(p, 1e-12)) / temperature
    return np.exp(logits - logsumexp(logits, axis=1, keepdims=True))


def nll(truth, p, temperature):
    logits = np.log(np.maximum(p, 1e-12)) / temperature
    return -(logits[np.arange(len(truth)), truth] - logsumexp(logits, axis=1)).mean()


def curve(truth, p, n_bins):
    confidence, hit = p.max(axis=1), p.argmax(axis=1) == truth
    place = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    bins = []
    for b in range(n_bins):
        inside = place == b
        if inside.any():
            bins.append([b, int(inside.sum()), float(confidence[inside].mean()), float(hit[inside].mean())])
    return bins


def adaptive(truth, p, n_bins):
    """Rows by confidence, stable, in n_bins parts whose sizes differ by one at most."""
    confidence, hit = p.max(axis=1), p.argmax(axis=1) == truth
    order = np.argsort(confidence, kind="stable")
    ends = [i * len(order) // n_bins for i in range(n_bins + 1)]
    error = 0.0
    for start, end in zip(ends, ends[1:]):
        rows = order[start:end]
        if len(rows):
            error += abs(hit[rows].mean() - confidence[rows].mean()) * len(rows) / len(order)
    return float(error)


calibration = []
for n, k, sharpness in [(400, 3, 2.5), (300, 8, 0.5), (57, 4, 1.0)]:
    truth, p = drawn(n, k, sharpness)
    p = renormalised(p)
    fit = minimize_scalar(
        lambda t: nll(truth, p, np.exp(t)), bounds=(np.log(0.05), np.log(20)), method="bounded",
        options={"xatol": 1e-12},
    )
    t = float(np.exp(fit.x))
    calibration.append({
        "n_classes": k, "truth": truth.tolist(), "scores": p.flatten().tolist(), "temperature": t,
        "nll_before": float(nll(truth, p, 1.0)), "nll_after": float(nll(truth, p, t)),
        "scaled_first_row": scaled(p, t)[0].tolist(), "curve_10": curve(truth, p, 10),
        "adaptive_ece_15": adaptive(truth, p, 15), "adaptive_ece_15_scaled": adaptive(truth, scaled(p, t), 15),
    })

tables = [(0, 0), (1, 5), (10, 10), (3, 14), (120, 165), (1500, 1620)]
tests = []
for b, c in tables:
    p = float(mcnemar([[100, b], [c, 50]], exact=True).pvalue) if b + c else 1.0
    tests.append({"b": b, "c": c, "p_exact": p})

holm = []
for p in ([0.01, 0.04, 0.03, 0.005], [0.2, 0.9, 0.5], [0.02], [0.001, 0.001, 0.8, 0.04, 0.013]):
    holm.append({"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()})

document = {"calibration": calibration, "mcnemar": tests, "holm": holm}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(document) + "\n")
