//! Does Dawid-Skene say better than the majority what a crowd would say, and the weighted mean better than the mean?
//!
//! AffectNetC25's 25 people are dealt in two, 12 to 13; from k of the 12 the consensus of the 13 is predicted. It needs
//! the folder `AFFECTORY_DATA` names: `AFFECTORY_DATA=../shared/data cargo bench -p affectory-evaluate --bench consensus`.

use std::path::PathBuf;

use affectory_evaluate::{
    Class, DawidSkeneOptions, WeightedMeanOptions, dawid_skene, plurality, soft_label, weighted_mean_of,
};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

const N_SEEDS: u64 = 50;
const N_PEOPLE: usize = 25;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[expect(clippy::disallowed_methods, reason = "a benchmark asks where the data lies")]
    let Some(data) = std::env::var_os("AFFECTORY_DATA").map(PathBuf::from) else {
        println!("SKIPPED: AffectNetC25 is in AFFECTORY_DATA, which is not set");
        return Ok(());
    };
    let read = |name: &str| -> Result<Vec<Vec<f64>>, Box<dyn std::error::Error>> {
        let mut table = csv::Reader::from_path(data.join(format!("affectnetc25/{name}_set1_C25.csv")))?;
        let mut faces = Vec::new();
        for row in table.records() {
            faces.push(row?.iter().skip(2).map(str::parse).collect::<Result<Vec<f64>, _>>()?);
        }
        Ok(faces)
    };
    let expression = read("expression")?;
    println!("share of faces whose category is that of the 13 others, mean (standard deviation) of {N_SEEDS} deals");
    println!("| k | majority | Dawid-Skene, smoothing 0 | 0.01 | 1 | better than majority at 1 |");
    println!("|---|---|---|---|---|---|");
    for k in [2, 3, 5, 12] {
        let deals: Vec<[f64; 4]> = (0..N_SEEDS).map(|seed| categories(&expression, k, seed)).collect();
        let of = |method: usize| deals.iter().map(|deal| deal[method]).collect::<Vec<_>>();
        let n_better = deals.iter().filter(|deal| deal[3] > deal[0]).count();
        let [majority, none, little, much] = [0, 1, 2, 3].map(|method| spelled(&of(method)));
        println!("| {k} | {majority} | {none} | {little} | {much} | {n_better} of {N_SEEDS} |");
    }
    println!("root mean square distance to the mean of the 13 others");
    println!("| k | valence, mean | weighted mean | arousal, mean | weighted mean |");
    println!("|---|---|---|---|---|");
    let (valence, arousal) = (read("valence")?, read("arousal")?);
    for k in [2, 3, 5, 12] {
        let both =
            [&valence, &arousal].map(|values| (0..N_SEEDS).map(|seed| distances(values, k, seed)).collect::<Vec<_>>());
        let of = |dimension: usize, method: usize| {
            spelled(&both[dimension].iter().map(|deal| deal[method]).collect::<Vec<_>>())
        };
        println!("| {k} | {} | {} | {} | {} |", of(0, 0), of(0, 1), of(1, 0), of(1, 1));
    }
    ferplus(&data)
}

/// Who predicts, and who is predicted.
fn deal(k: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut people: Vec<usize> = (0..N_PEOPLE).collect();
    people.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let others = people.split_off(12);
    people.truncate(k);
    (people, others)
}

/// Accuracy of majority and of Dawid-Skene with three smoothings, on the faces where the others have a plurality. Where
/// a method says "one of t", it has a t-th of the hit, if the hit is among them.
fn categories(expression: &[Vec<f64>], k: usize, seed: u64) -> [f64; 4] {
    let (people, others) = deal(k, seed);
    let counts = |face: &[f64], people: &[usize]| {
        let mut counts = [0u32; 8];
        people.iter().for_each(|&person| counts[face[person] as usize] += 1);
        counts
    };
    let truth: Vec<Option<usize>> = expression.iter().map(|face| plurality(&counts(face, &others))).collect();
    let credit = |scores: &[f64], class: usize| {
        let top = scores.iter().copied().fold(0.0, f64::max);
        let n_tied = scores.iter().filter(|&&score| score >= top - 1e-9).count();
        if scores[class] >= top - 1e-9 { 1.0 / n_tied as f64 } else { 0.0 }
    };
    let share = |scores: &dyn Fn(usize) -> Vec<f64>| {
        let judged = truth.iter().enumerate().filter_map(|(face, class)| Some(credit(&scores(face), (*class)?)));
        judged.sum::<f64>() / truth.iter().flatten().count() as f64
    };
    let majority = share(&|face| counts(&expression[face], &people).map(f64::from).to_vec());
    let by_model = |smoothing: f64| {
        let answers = expression.iter().enumerate().flat_map(|(face, said)| {
            people.iter().map(move |&person| (face as i64, person as i64, said[person] as Class))
        });
        let model = dawid_skene(answers.collect(), &DawidSkeneOptions { smoothing, ..DawidSkeneOptions::default() });
        share(&|face| {
            let mut scores = vec![0.0; 8];
            model
                .classes
                .iter()
                .zip(model.posterior(face))
                .for_each(|(&class, &share)| scores[usize::from(class)] = share);
            scores
        })
    };
    [majority, by_model(0.0), by_model(0.01), by_model(1.0)]
}

/// Root mean square distance of mean and weighted mean to the others' mean.
fn distances(values: &[Vec<f64>], k: usize, seed: u64) -> [f64; 2] {
    let (people, others) = deal(k, seed);
    let mean = |face: &[f64], people: &[usize]| people.iter().map(|&j| face[j]).sum::<f64>() / people.len() as f64;
    let answers = values
        .iter()
        .enumerate()
        .flat_map(|(face, said)| people.iter().map(move |&person| (face as i64, person as i64, said[person])));
    let weighted = weighted_mean_of(answers.collect(), &WeightedMeanOptions::default());
    let rms = |guess: &dyn Fn(usize) -> f64| {
        let squares = values.iter().enumerate().map(|(face, said)| (guess(face) - mean(said, &others)).powi(2));
        (squares.sum::<f64>() / values.len() as f64).sqrt()
    };
    [rms(&|face| mean(&values[face], &people)), rms(&|face| weighted.faces[face].mean)]
}

/// FER+ publishes ten votes a face and not whose: dealt out at random, all ten pseudo-annotators are alike, and
/// Dawid-Skene can only find that out.
fn ferplus(data: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let tar = data.join("ferplus-valid.tar");
    let output = std::process::Command::new("tar").arg("-xOf").arg(&tar).arg("valid/votes.csv").output()?;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut answers, mut all_counts) = (Vec::new(), Vec::new());
    for (face, row) in csv::Reader::from_reader(output.stdout.as_slice()).records().enumerate() {
        let counts: Vec<u32> = row?.iter().skip(1).map(str::parse).collect::<Result<_, _>>()?;
        let mut votes: Vec<Class> =
            (0..10).flat_map(|class| vec![class; counts[usize::from(class)] as usize]).collect();
        votes.shuffle(&mut random);
        answers.extend((0..).zip(votes).map(|(annotator, class)| (face as i64, annotator, class)));
        all_counts.push(counts);
    }
    let model = dawid_skene(answers, &DawidSkeneOptions::default());
    let (mut n_decided, mut n_same, mut top_shares) = (0, 0, 0.0);
    for (face, counts) in all_counts.iter().enumerate() {
        let mut eleven = [0; 11];
        eleven[..10].copy_from_slice(counts);
        top_shares += soft_label(&eleven, 0.0).into_iter().flatten().fold(0.0, f64::max);
        if let Some(class) = plurality(counts) {
            n_decided += 1;
            n_same += usize::from(model.most_probable(face) == Some(class as Class));
        }
    }
    let diagonal = |class: usize| {
        let shares = model.annotators.iter().map(|annotator| annotator.confusion[class][class]);
        shares.clone().fold(0.0, f64::max) - shares.fold(1.0, f64::min)
    };
    println!(
        "FER+ valid, {} faces: majority decides {n_decided}, mean top share {:.3}; Dawid-Skene of votes dealt out at random \
         says the same in {n_same}, its annotators differ by {:.3} at most (class neutral)",
        all_counts.len(),
        top_shares / all_counts.len().max(1) as f64,
        diagonal(0),
    );
    Ok(())
}

/// Mean (standard deviation).
fn spelled(values: &[f64]) -> String {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    format!("{mean:.3} ({:.3})", (squares / values.len() as f64).sqrt())
}
