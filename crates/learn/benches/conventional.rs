//! How long do gradient histograms and linear machines take, here and in OpenCV, scikit-image and scikit-learn?
//!
//! Theirs run where `python3` (or the interpreter in `PYTHON`) has them. FER+'s faces are in the folder that
//! `AFFECTORY_DATA` names: `AFFECTORY_DATA=../shared/data cargo bench --bench conventional`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use affectory_evaluate::{Averaged, Class, ConfusionMatrix};
use affectory_learn::Colour;
use affectory_learn::conventional::{
    ClassWeights, Features, Fit, HogOptions, LinearOptions, Loss, Pixels, fit_affect, fit_classes, hog,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE: usize = 224;
const N_FACES: usize = 2400;
const N_FEATURES: usize = 600;

/// Seconds for one picture, best of several rounds on one thread.
const HOG: &str = "
import time, sys, numpy as np
image = np.fromfile(sys.argv[1], np.uint8).reshape(224, 224)
def best(run, n):
    times = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(n): run()
        times.append((time.perf_counter() - start) / n)
    return min(times)
try:
    import cv2
    cv2.setNumThreads(1)
    d = cv2.HOGDescriptor((224, 224), (16, 16), (8, 8), (8, 8), 9)
    print('opencv', best(lambda: d.compute(image), 50))
except Exception: pass
try:
    from skimage.feature import hog
    print('scikit-image', best(lambda: hog(image, 9, (8, 8), (2, 2), 'L2-Hys'), 3))
except Exception: pass
";

/// Seconds and objective of each machine: rows of features, of classes (one byte), and of targets.
const LINEAR: &str = "
import time, sys, warnings, numpy as np
from sklearn.svm import LinearSVC, LinearSVR
warnings.simplefilter('ignore')
folder, d, C = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
X = np.fromfile(folder + '/features', np.float32).reshape(-1, d); y = np.fromfile(folder + '/classes', np.uint8)
t = np.fromfile(folder + '/targets', np.float32)
def report(name, machine, target, objective):
    start = time.perf_counter(); machine.fit(X, target); took = time.perf_counter() - start
    print(name, took, objective(machine))
def classes(m):
    total = 0
    for w, b, k in zip(m.coef_, m.intercept_, m.classes_):
        total += .5 * (w @ w + b * b) + C * (np.maximum(0, 1 - np.where(y == k, 1, -1) * (X @ w + b)) ** 2).sum()
    return total
def targets(m):
    w, b = m.coef_.ravel(), np.ravel(m.intercept_)[0]
    return .5 * (w @ w + b * b) + C * np.abs(X @ w + b - t).sum()
report('dual', LinearSVC(C=C, dual=True), y, classes)
report('auto', LinearSVC(C=C, dual='auto'), y, classes)
report('svr', LinearSVR(C=C, dual=True), t, targets)
";

fn main() -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "a benchmark asks which Python to compare with")]
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    #[expect(clippy::disallowed_methods, reason = "a benchmark asks where the data lies")]
    let data = std::env::var_os("AFFECTORY_DATA").map(PathBuf::from);
    let folder = tempfile::tempdir()?;
    histograms(&python, folder.path())?;
    let (features, classes, targets) = drawn();
    let name = format!("{N_FACES} x {N_FEATURES} of noise and signal");
    machines(&name, &python, folder.path(), (&features, N_FEATURES), (&classes, &targets), 1.0)?;
    match data {
        Some(data) => ferplus(&data, &python, folder.path()),
        None => {
            println!("SKIPPED: FER+ is in AFFECTORY_DATA, which is not set");
            Ok(())
        }
    }
}

fn histograms(python: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    // As smooth as a photograph, with some noise.
    let values: Vec<u8> = (0..SIDE * SIDE)
        .map(|i| {
            let (x, y) = ((i % SIDE) as f32 / 17.0, (i / SIDE) as f32 / 23.0);
            (128.0 + 60.0 * (x.sin() + (x + y).cos()) + random.random_range(-7.0..7.0)).clamp(0.0, 255.0) as u8
        })
        .collect();
    let pixels = Pixels { values: &values, width: SIDE, height: SIDE, colour: Colour::Grey };
    let rgb: Vec<u8> = values.iter().flat_map(|v| [*v, v.wrapping_add(9), *v / 2]).collect();
    let coloured = Pixels { values: &rgb, width: SIDE, height: SIDE, colour: Colour::Rgb };
    let grey_s = best_of(|| hog(pixels, &HogOptions::default()).map(|d| d.len()))?;
    let rgb_s = best_of(|| hog(coloured, &HogOptions::default()).map(|d| d.len()))?;
    println!(
        "HOG {SIDE}x{SIDE}, 9 bins, 8x8, 2x2, one thread: grey {:.3} ms (aim 1.5), RGB {:.3} ms",
        grey_s * 1e3,
        rgb_s * 1e3
    );
    let file = folder.join("picture");
    std::fs::write(&file, &values)?;
    let lines = said(python, HOG, &[&file.to_string_lossy()]);
    for theirs in ["opencv", "scikit-image"] {
        match lines.iter().find(|words| words[0] == theirs) {
            Some(words) => {
                let their_s: f64 = words[1].parse()?;
                println!("  {theirs} {:.3} ms, {:.1} times ours", their_s * 1e3, their_s / grey_s);
            }
            None => println!("  {theirs}: not found by `{python}`"),
        }
    }
    Ok(())
}

/// Seconds a call, best of ten rounds of twenty.
fn best_of<E: Error + 'static>(run: impl Fn() -> Result<usize, E>) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..20 {
            std::hint::black_box(run()?);
        }
        best = best.min(start.elapsed().as_secs_f64() / 20.0);
    }
    Ok(best)
}

/// Faces of eight classes that overlap, features in 0 to 0.5 as a descriptor's are.
fn drawn() -> (Vec<f32>, Vec<u8>, Vec<f32>) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let middles: Vec<f32> = (0..8 * N_FEATURES).map(|_| random.random_range(0.0..0.1)).collect();
    let (mut features, mut classes, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..N_FACES {
        let class = random.random_range(0..8usize);
        classes.push(class as u8);
        targets.push(class as f32 / 8.0 - 0.5 + random.random_range(-0.2..0.2));
        features
            .extend(middles[class * N_FEATURES..][..N_FEATURES].iter().map(|m| m + random.random_range(0.0..0.4f32)));
    }
    (features, classes, targets)
}

/// Ours and scikit-learn's machines on the same features.
fn machines(
    name: &str,
    python: &str,
    folder: &Path,
    (values, n_columns): (&[f32], usize),
    (classes, targets): (&[u8], &[f32]),
    cost: f64,
) -> Result<(), Box<dyn Error>> {
    let features = Features::new(values, n_columns)?;
    let options = LinearOptions { cost, ..LinearOptions::default() };
    let rows: Vec<(usize, usize)> = classes.iter().map(|class| usize::from(*class)).enumerate().collect();
    let known: Vec<(usize, f64)> = targets.iter().map(|target| f64::from(*target)).enumerate().collect();
    let start = Instant::now();
    let fits: Vec<Fit> = fit_classes(features, &rows, 8, ClassWeights::None, &options)?.into_iter().flatten().collect();
    let svc_s = start.elapsed().as_secs_f64();
    let regression = LinearOptions { loss: Loss::L1, ..options };
    let start = Instant::now();
    let [svr, _] = fit_affect(features, [&known, &[]], &regression)?;
    let svr_s = start.elapsed().as_secs_f64();
    let svr = svr.ok_or("no target")?;
    let svc_objective: f64 = fits.iter().map(|fit| fit.objective).sum();
    let passes: Vec<u32> = fits.iter().map(|fit| fit.n_iterations).collect();
    let converged = fits.iter().all(|fit| fit.converged);
    println!("{name}, C = {cost}, {} threads", rayon::current_num_threads());
    println!(
        "  LinearSVC, 8 classes: {svc_s:.3} s, objective {svc_objective:.5}, passes {passes:?}, converged: {converged}"
    );
    println!(
        "  LinearSVR: {svr_s:.3} s, objective {:.5}, {} passes, converged: {}",
        svr.objective, svr.n_iterations, svr.converged
    );

    let bytes = |numbers: &[f32]| numbers.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    std::fs::write(folder.join("features"), bytes(values))?;
    std::fs::write(folder.join("classes"), classes)?;
    std::fs::write(folder.join("targets"), bytes(targets))?;
    let lines = said(python, LINEAR, &[&folder.to_string_lossy(), &n_columns.to_string(), &cost.to_string()]);
    for (theirs, our_s, our_objective) in
        [("dual", svc_s, svc_objective), ("auto", svc_s, svc_objective), ("svr", svr_s, svr.objective)]
    {
        let Some(words) = lines.iter().find(|words| words[0] == theirs) else {
            println!("  scikit-learn: not found by `{python}`");
            break;
        };
        let (their_s, objective): (f64, f64) = (words[1].parse()?, words[2].parse()?);
        println!(
            "  scikit-learn ({theirs}) {their_s:.2} s, {:.1} times ours; our objective is {:+.4} % from its {objective:.5}",
            their_s / our_s,
            100.0 * (our_objective / objective - 1.0),
        );
    }
    Ok(())
}

/// Faces of FER+ as features, with their classes.
struct Ferplus {
    features: Vec<f32>,
    n_columns: usize,
    classes: Vec<u8>,
    /// The share of votes that are not neutral: it stands for an arousal.
    targets: Vec<f32>,
}

/// The first faces of a part of FER+ that have one majority, among the eight classes.
fn read_ferplus(data: &Path, part: &str, folder: &Path, n_faces: usize) -> Result<Ferplus, Box<dyn Error>> {
    let tar = data.join(format!("ferplus-{part}.tar"));
    if !Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(folder).status()?.success() {
        return Err(format!("cannot unpack {}", tar.display()).into());
    }
    let (mut pictures, mut classes, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for row in csv::Reader::from_path(folder.join(part).join("votes.csv"))?.records() {
        let row = row?;
        let votes: Vec<u32> = row.iter().skip(1).map(str::parse).collect::<Result<_, _>>()?;
        let winner = affectory_evaluate::plurality(&votes).filter(|_| pictures.len() < n_faces);
        // FER+'s order to AffectNet's; the last two are no expression.
        let Some(class) = winner.and_then(|winner| [0, 1, 3, 2, 6, 5, 4, 7].get(winner).copied()) else { continue };
        let name = row.get(0).ok_or("a row without a name")?;
        let bytes = std::fs::read(folder.join(part).join(name))?;
        pictures.push(affectory_imaging::decode(&bytes, &affectory_imaging::Limits::default())?.image.to_gray());
        classes.push(class);
        targets.push(1.0 - votes[0] as f32 / votes.iter().sum::<u32>() as f32);
    }
    let start = Instant::now();
    let mut features = Vec::new();
    for picture in &pictures {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let pixels = Pixels { values: &picture.pixels, width, height, colour: Colour::Grey };
        features.extend(hog(pixels, &HogOptions::default())?);
    }
    println!("HOG of {} faces of FER+ {part}, one thread: {:.2} s", pictures.len(), start.elapsed().as_secs_f64());
    Ok(Ferplus { n_columns: features.len() / pictures.len(), features, classes, targets })
}

fn ferplus(data: &Path, python: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let train = read_ferplus(data, "train", folder, 25_000)?;
    let name = format!("FER+, {} x {}", train.classes.len(), train.n_columns);
    machines(&name, python, folder, (&train.features, train.n_columns), (&train.classes, &train.targets), 0.1)?;

    let (train, valid) =
        (read_ferplus(data, "train", folder, usize::MAX)?, read_ferplus(data, "valid", folder, usize::MAX)?);
    let features = Features::new(&train.features, train.n_columns)?;
    let rows: Vec<(usize, usize)> = train.classes.iter().map(|class| usize::from(*class)).enumerate().collect();
    println!("FER+, {} faces to learn from, {} to be asked about", rows.len(), valid.classes.len());
    println!("| weights | C | accuracy | macro F1 | seconds |");
    println!("|---|---|---|---|---|");
    for weights in [ClassWeights::None, ClassWeights::Balanced, ClassWeights::Rarest] {
        for cost in [0.01, 0.1, 1.0] {
            let start = Instant::now();
            let options = LinearOptions { cost, ..LinearOptions::default() };
            let fits = fit_classes(features, &rows, 8, weights, &options)?;
            let took_s = start.elapsed().as_secs_f64();
            let answer = |row: &[f32]| {
                let scores: Vec<f64> = fits.iter().map(|f| f.as_ref().map_or(f64::MIN, |f| f.decision(row))).collect();
                affectory_evaluate::top_class(&scores)
            };
            let predicted: Vec<Class> = valid.features.chunks_exact(valid.n_columns).map(answer).collect();
            let truth: Vec<Class> = valid.classes.iter().map(|class| Class::from(*class)).collect();
            let matrix = ConfusionMatrix::count(&truth, &predicted, 8);
            let [accuracy, f1] = [matrix.accuracy(), matrix.f1_macro(Averaged::Union)].map(Option::unwrap_or_default);
            println!("| {weights:?} | {cost} | {accuracy:.3} | {f1:.3} | {took_s:.1} |");
        }
    }
    Ok(())
}

/// The lines that a Python program prints, in words; none if it cannot run.
fn said(python: &str, program: &str, arguments: &[&str]) -> Vec<Vec<String>> {
    let output = Command::new(python).args(["-c", program]).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines()
        .map(|line| line.split_whitespace().map(String::from).collect::<Vec<_>>())
        .filter(|w| !w.is_empty())
        .collect()
}
