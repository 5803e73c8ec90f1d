//! How long do all figures of 1,000,000 faces and 8 classes take, here and in scikit-learn, and how long 1,000
//! bootstrap resamples of accuracy, macro F1 and CCC?
//!
//! scikit-learn runs where `python3` (or the interpreter in `PYTHON`) has it; otherwise only our time is printed.

use std::process::Command;
use std::time::Instant;

use affectory_evaluate::{
    Averaged, Bootstrap, Class, ConfusionMatrix, Level, Moments, RankingScore, Scores, Units, brier, calibration_error,
    krippendorff_alpha, log_loss, macro_mean, rank_classes, top_k_accuracy,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const N_ROWS: usize = 1_000_000;
const N_CLASSES: usize = 8;
const N_RESAMPLES: usize = 1000;

/// The same figures on data drawn the same way.
const PYTHON: &str = "
import time, numpy as np
from sklearn import metrics as m
r = np.random.default_rng(7); n, k = 1_000_000, 8
t = r.integers(0, k, n); s = r.random((n, k)); s[np.arange(n), t] += .5; s /= s.sum(1, keepdims=True); p = s.argmax(1)
a = r.uniform(-1, 1, n); b = .7 * a + .3 * r.uniform(-1, 1, n)
t0 = time.perf_counter()
m.confusion_matrix(t, p); m.accuracy_score(t, p); m.balanced_accuracy_score(t, p)
m.precision_recall_fscore_support(t, p); m.f1_score(t, p, average='macro'); m.f1_score(t, p, average='weighted')
m.cohen_kappa_score(t, p); m.matthews_corrcoef(t, p)
w = 1 / np.bincount(t)[t]; m.f1_score(t, p, average='macro', sample_weight=w); m.cohen_kappa_score(t, p, sample_weight=w)
m.roc_auc_score(t, s, multi_class='ovr'); [m.average_precision_score(t == c, s[:, c]) for c in range(k)]
m.log_loss(t, s); m.top_k_accuracy_score(t, s, k=2)
for x, y in ((a, b), (b, a)):
    np.sqrt(m.mean_squared_error(x, y)); m.mean_absolute_error(x, y); np.corrcoef(x, y); (np.sign(x) == np.sign(y)).mean()
    2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
print(time.perf_counter() - t0)
";

/// 1,000 resamples from as many as are timed: by metric functions of scikit-learn, then the best that NumPy does
/// (resampled counts and moments from one gather and `bincount`).
const PYTHON_BOOTSTRAP: &str = "
import time, numpy as np
from sklearn import metrics as m
r = np.random.default_rng(7); n, k = 1_000_000, 8
t = r.integers(0, k, n); s = r.random((n, k)); s[np.arange(n), t] += .5; p = s.argmax(1)
a = r.uniform(-1, 1, n); b = .7 * a + .3 * r.uniform(-1, 1, n)
def ccc(x, y): return 2 * ((x - x.mean()) * (y - y.mean())).mean() / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
t0 = time.perf_counter()
for _ in range(3):
    i = r.integers(0, n, n)
    m.accuracy_score(t[i], p[i]); m.f1_score(t[i], p[i], average='macro'); ccc(a[i], b[i])
sk = (time.perf_counter() - t0) / 3 * 1000
cell = t * k + p; x = np.stack([a, b, a * a, b * b, a * b]); t0 = time.perf_counter()
for _ in range(10):
    w = np.bincount(r.integers(0, n, n, dtype=np.int32), minlength=n)
    c = np.bincount(cell, weights=w, minlength=k * k).reshape(k, k)
    c.trace() / n; (2 * c.diagonal() / (c.sum(0) + c.sum(1))).mean(); x @ w.astype(float)
print(sk, (time.perf_counter() - t0) / 10 * 1000)
";

fn main() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let truth: Vec<Class> = (0..N_ROWS).map(|_| random.random_range(0..N_CLASSES as Class)).collect();
    let mut values = Vec::with_capacity(N_ROWS * N_CLASSES);
    let mut predicted: Vec<Class> = Vec::with_capacity(N_ROWS);
    for &class in &truth {
        let mut row: [f64; N_CLASSES] = std::array::from_fn(|_| random.random());
        row[usize::from(class)] += 0.5;
        let sum: f64 = row.iter().sum();
        values.extend(row.map(|score| score / sum));
        predicted.push(affectory_evaluate::top_class(&row));
    }
    let valence: Vec<f64> = (0..N_ROWS).map(|_| random.random_range(-1.0..1.0)).collect();
    let guess: Vec<f64> = valence.iter().map(|v| 0.7 * v + 0.3 * random.random_range(-1.0..1.0)).collect();

    let all_figures = || -> Vec<Option<f64>> {
        let scores = Scores::new(&values, N_CLASSES);
        let matrix = ConfusionMatrix::count(&truth, &predicted, N_CLASSES);
        let mut found = Vec::new();
        for matrix in [&matrix, &matrix.skew_normalised()] {
            found.extend([matrix.accuracy(), matrix.balanced_accuracy(), matrix.f1_macro(Averaged::Union)]);
            found.extend([matrix.f1_weighted(), matrix.cohen_kappa(), matrix.krippendorff_alpha(), matrix.matthews()]);
        }
        if let Some(scores) = scores {
            let ranking: Vec<RankingScore> = rank_classes(&truth, scores);
            found.extend([macro_mean(&ranking, |s| s.roc_auc), macro_mean(&ranking, |s| s.average_precision)]);
            found.extend([log_loss(&truth, scores), brier(&truth, scores), top_k_accuracy(&truth, scores, 2)]);
            found.push(calibration_error(&truth, scores, 10).map(|error| error.expected));
        }
        for (a, b) in [(&valence, &guess), (&guess, &valence)] {
            let score = Moments::of(a, b).score();
            found.extend([score.rmse, score.mae, score.corr, score.sagr, score.ccc]);
        }
        let units = Units::new(valence.iter().zip(&guess).map(|(&a, &b)| [a, b]));
        found.push(krippendorff_alpha(&units, Level::Interval));
        found
    };
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let found = all_figures();
        best = best.min(start.elapsed().as_secs_f64());
        assert!(found.iter().all(Option::is_some));
    }
    println!("all figures, {N_ROWS} x {N_CLASSES}: affectory {best:.3} s (aim 0.5 s)");

    let resampled = || -> [Vec<Option<f64>>; 3] {
        let bootstrap = Bootstrap { n_resamples: N_RESAMPLES, confidence: 0.95, seed: 7 };
        let matrix = ConfusionMatrix::count(&truth, &predicted, N_CLASSES);
        let label_figures = bootstrap.redraw_counts(matrix.cells(), |cells| {
            let drawn = matrix.with_cells(cells);
            (drawn.accuracy(), drawn.f1_macro(Averaged::Union))
        });
        let (accuracy, f1) = label_figures.into_iter().unzip();
        [accuracy, f1, bootstrap.redraw_moments(&valence, &guess).iter().map(Moments::ccc).collect()]
    };
    let mut best_resampled = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        let found = resampled();
        best_resampled = best_resampled.min(start.elapsed().as_secs_f64());
        assert!(found.iter().flatten().all(Option::is_some));
    }
    println!(
        "accuracy, macro F1, CCC, {N_RESAMPLES} resamples of {N_ROWS} rows: affectory {best_resampled:.3} s (aim 2 s)"
    );
    if let Some(peak) = peak_memory_mib() {
        println!("peak memory of this process, its data included: {peak:.0} MiB");
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark asks which Python to compare with")]
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    match seconds(&python, PYTHON).as_deref() {
        Some([theirs]) => {
            println!("scikit-learn, without alpha and ECE: {theirs:.2} s, {:.0} times ours", theirs / best)
        }
        _ => println!("scikit-learn: not found by `{python}`"),
    }
    if let Some([sklearn, numpy]) = seconds(&python, PYTHON_BOOTSTRAP).as_deref() {
        println!(
            "bootstrap: scikit-learn {sklearn:.0} s (scaled from 3 resamples), {:.0} times ours; NumPy counts and \
             moments {numpy:.0} s (scaled from 10), {:.0} times ours",
            sklearn / best_resampled,
            numpy / best_resampled
        );
    }
}

/// The numbers that a Python script prints.
fn seconds(python: &str, script: &str) -> Option<Vec<f64>> {
    let output = Command::new(python).args(["-c", script]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().map(|number| number.parse().ok()).collect()
}

/// The most memory this process ever held (Linux).
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
}
