//! How long do all figures of 1,000,000 faces and 8 classes take, here and in scikit-learn?
//!
//! scikit-learn runs where `python3` (or the interpreter in `PYTHON`) has it; otherwise only our time is printed.

use std::process::Command;
use std::time::Instant;

use affectory_evaluate::{
    Averaged, Class, ConfusionMatrix, Level, Moments, RankingScore, Scores, Units, brier, calibration_error,
    krippendorff_alpha, log_loss, macro_mean, rank_classes, top_k_accuracy,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const N_ROWS: usize = 1_000_000;
const N_CLASSES: usize = 8;

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

    #[expect(clippy::disallowed_methods, reason = "a benchmark asks which Python to compare with")]
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(&python).args(["-c", PYTHON]).output();
    match output.map(|output| String::from_utf8_lossy(&output.stdout).trim().parse::<f64>()) {
        Ok(Ok(theirs)) => {
            println!("scikit-learn, without alpha and ECE: {theirs:.2} s, {:.0} times ours", theirs / best)
        }
        _ => println!("scikit-learn: not found by `{python}`"),
    }
}
