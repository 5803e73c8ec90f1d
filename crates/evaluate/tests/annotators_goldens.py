"""Writes annotators_goldens.json: the figures of AffectNetC25 as other programs compute them.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install krippendorff pingouin statsmodels scikit-learn numpy
    /tmp/goldens/bin/python crates/evaluate/tests/annotators_goldens.py ../shared/data

Figures only: no row of the data set is written. The thinned answers are those where
(7 * face + 3 * annotator) % 5 < 2, which leaves 10 of 25 answers a face and gaps everywhere; the twos are those where
(annotator - face) % 25 < 2, which leaves two a face.
"""
import csv, itertools, json, pathlib, sys, warnings

import krippendorff
import numpy as np
import pandas
import pingouin
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

FOLDER = pathlib.Path(sys.argv[1]) / "affectnetc25"


def read(name):
    with open(FOLDER / f"{name}_set1_C25.csv") as file:
        return np.array([[float(value) for value in row[2:]] for row in list(csv.reader(file))[1:]]).T


def thinned(ratings, keep):
    annotator, face = np.indices(ratings.shape)
    return np.where(keep(face, annotator), ratings, np.nan)


def pooled(ratings):
    a, b = [], []
    for i, j in itertools.combinations(range(len(ratings)), 2):
        both = ~np.isnan(ratings[i]) & ~np.isnan(ratings[j])
        a += [ratings[i][both], ratings[j][both]]
        b += [ratings[j][both], ratings[i][both]]
    a, b = np.concatenate(a), np.concatenate(b)
    covariance = np.cov(a, b, bias=True)[0, 1]
    return {
        "rmse": np.sqrt(np.mean((a - b) ** 2)),
        "corr": np.corrcoef(a, b)[0, 1],
        "sagr": np.mean(np.sign(a) == np.sign(b)),
        "ccc": 2 * covariance / (a.var() + b.var() + (a.mean() - b.mean()) ** 2),
    }


def categories(ratings):
    kappas = []
    for a, b in itertools.combinations(ratings, 2):
        both = ~np.isnan(a) & ~np.isnan(b)
        kappas.append(cohen_kappa_score(a[both], b[both]) if both.any() else np.nan)
    counts = np.array([[np.sum(face == k) for k in range(11)] for face in ratings.T])
    return {
        "krippendorff_alpha": krippendorff.alpha(reliability_data=ratings, level_of_measurement="nominal"),
        "mean_cohen_kappa": np.nanmean(kappas),
        "fleiss_kappa": fleiss_kappa(counts),
    }


def dimension(ratings):
    alpha = lambda level: krippendorff.alpha(reliability_data=ratings, level_of_measurement=level)
    return {
        "krippendorff_alpha": alpha("interval"),
        "krippendorff_alpha_ordinal": alpha("ordinal"),
        "pooled": pooled(ratings),
    }


def intraclass(ratings):
    rows = [(face, annotator, value) for (annotator, face), value in np.ndenumerate(ratings)]
    table = pandas.DataFrame(rows, columns=["face", "annotator", "value"])
    found = pingouin.intraclass_corr(table, targets="face", raters="annotator", ratings="value")
    return [float(value) for value in found["ICC"]]


def dawid_skene(ratings, smoothing, n_iterations):
    """Dawid and Skene 1979, equation by equation, on a dense [face, annotator, answer] array."""
    classes = np.unique(ratings[~np.isnan(ratings)])
    said = (ratings.T[:, :, None] == classes).astype(float)
    posterior = said.sum(1) / said.sum((1, 2))[:, None]
    for _ in range(n_iterations):
        priors = posterior.sum(0) + smoothing
        priors /= priors.sum()
        confusion = np.einsum("fk,fal->akl", posterior, said) + smoothing
        confusion /= confusion.sum(2, keepdims=True)
        logs = np.log(priors) + np.einsum("fal,akl->fk", said, np.log(confusion))
        top = logs.max(1, keepdims=True)
        sums = np.exp(logs - top).sum(1, keepdims=True)
        log_likelihood = float((top + np.log(sums)).sum())
        posterior = np.exp(logs - top) / sums
    return {
        "log_likelihood": log_likelihood,
        "priors": priors.tolist(),
        "first_annotators_diagonal": np.diag(confusion[0]).tolist(),
        "sum_of_squared_posteriors": float((posterior**2).sum()),
        "mean_posterior_of_the_last_class": float(posterior[:, -1].mean()),
    }


def weighted_mean(ratings, floor, prior, n_iterations):
    answered = ~np.isnan(ratings)
    values, variance = np.where(answered, ratings, 0.0), np.ones(len(ratings))
    shared = answered & (answered.sum(0) >= 2)
    for _ in range(n_iterations):
        weights = answered / variance[:, None]
        means = (weights * values).sum(0) / weights.sum(0)
        squares = (shared * (values - means) ** 2).sum(1)
        freedom = (shared * (1 - weights / weights.sum(0))).sum(1)
        variance = np.maximum(floor, (squares + prior * squares.sum() / freedom.sum()) / (freedom + prior))
    weights = answered / variance[:, None]
    means = (weights * values).sum(0) / weights.sum(0)
    return {"variances": variance.tolist(), "mean": means.mean(), "sum_of_squares": (means**2).sum()}


def others(expression, valence):
    """Each annotator against the plurality and the mean of the other 24."""
    rows = []
    for j in range(len(expression)):
        rest = np.delete(expression, j, 0)
        counts = np.array([(rest == k).sum(0) for k in range(8)])
        decided = (counts == counts.max(0)).sum(0) == 1
        hits = int((counts.argmax(0) == expression[j])[decided].sum())
        low, high = proportion_confint(hits, int(decided.sum()), method="wilson")
        error = valence[j] - np.delete(valence, j, 0).mean(0)
        rows.append([hits, int(decided.sum()), low, high, error.mean(), np.sqrt((error**2).mean())])
    return rows


warnings.simplefilter("ignore")
expression, valence, arousal = read("expression"), read("valence"), read("arousal")
everything = {"everyone": lambda face, j: j >= 0, "thinned": lambda face, j: (7 * face + 3 * j) % 5 < 2,
              "twos": lambda face, j: (j - face) % 25 < 2}
goldens = {"icc_valence": intraclass(valence), "icc_arousal": intraclass(arousal)}
for name, keep in everything.items():
    few = {"expression": thinned(expression, keep), "valence": thinned(valence, keep), "arousal": thinned(arousal, keep)}
    goldens[name] = {
        "expression": categories(few["expression"]),
        "valence": dimension(few["valence"]),
        "arousal": dimension(few["arousal"]),
        "dawid_skene": dawid_skene(few["expression"], 0.01, 30),
        "weighted_mean": weighted_mean(few["valence"], 0.0025, 2.0, 40),
    }
goldens["others"] = others(expression, valence)
text = json.dumps(goldens, indent=1, default=float)
pathlib.Path(__file__).with_suffix(".json").write_text(text + "\n")
