//! How fast are near hashes found among a million, which copies are found again, and what is found by mistake?
//!
//! `cargo bench -p affectory-imaging --bench near`, with photographs (`inthewild`, `scenes`, `dlib_faces`) in the folder
//! that `AFFECTORY_DATA` names, by default `shared/data` beside the workspace. Without them speed alone is measured.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use affectory_core::{BoundingBox, PerceptualHash};
use affectory_imaging::{
    HashIndex, Limits, RgbImage, copies_of, crop_resize, decode, encode_jpeg, looks, near_pairs, perceptual_hash,
    resize,
};
use rand::{Rng as _, SeedableRng as _};
use rayon::prelude::*;

const N_HASHES: usize = 1_000_000;
const DISTANCES: [u32; 6] = [0, 2, 4, 6, 8, 10];

struct Photograph {
    /// The file's name without its number: who or what is on it.
    subject: String,
    picture: RgbImage,
}

fn main() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let any: Vec<PerceptualHash> = (0..N_HASHES).map(|_| PerceptualHash(random.random())).collect();
    memory(&any);
    let photographs = read_photographs();
    speed("random bits", &any);
    if photographs.is_empty() {
        println!("SKIPPED: no photographs in AFFECTORY_DATA, so neither recall nor false matches");
        return;
    }
    speed("blends of two photographs", &blends(&photographs, &mut random));
    recall(&photographs);
    false_matches(&photographs);
}

#[expect(clippy::disallowed_methods, reason = "a benchmark asks where the data is")]
fn read_photographs() -> Vec<Photograph> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("AFFECTORY_DATA").map_or_else(beside, PathBuf::from);
    let mut paths: Vec<PathBuf> = ["inthewild/images", "scenes", "dlib_faces"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(data.join(folder)).ok())
        .flat_map(|entries| entries.map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "jpg" || extension == "png"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let picture = decode(&std::fs::read(path).unwrap(), &Limits::default()).unwrap().image;
        let name = path.file_stem().unwrap().to_string_lossy();
        let subject = name.trim_end_matches(|end: char| end.is_ascii_digit()).to_owned();
        Photograph { subject, picture }
    };
    paths.par_iter().map(read).collect()
}

/// Pictures between two photographs, one of them mirrored or not: a million that look like photographs and all differ.
fn blends(photographs: &[Photograph], random: &mut rand_chacha::ChaCha8Rng) -> Vec<PerceptualHash> {
    let small: Vec<RgbImage> = photographs.par_iter().map(|photograph| resize(&photograph.picture, 32, 32)).collect();
    let mirrored: Vec<RgbImage> = small.iter().map(mirror).collect();
    let n = small.len();
    let recipes: Vec<(usize, usize, bool, u16)> = (0..N_HASHES)
        .map(|_| (random.random_range(0..n), random.random_range(0..n), random.random(), random.random_range(64..192)))
        .collect();
    let blend = |&(a, b, is_mirrored, weight): &(usize, usize, bool, u16)| {
        let other = if is_mirrored { &mirrored[b] } else { &small[b] };
        let mix = |(x, y): (&u8, &u8)| ((u16::from(*x) * weight + u16::from(*y) * (256 - weight)) >> 8) as u8;
        let pixels = small[a].pixels.iter().zip(&other.pixels).map(|(x, y)| mix((x, y))).collect();
        perceptual_hash(&RgbImage { width: 32, height: 32, pixels })
    };
    recipes.par_iter().map(blend).collect()
}

fn grow(hashes: &[PerceptualHash]) -> HashIndex<i64> {
    let mut grown = HashIndex::default();
    for (hash, value) in hashes.iter().zip(0i64..) {
        grown.insert(*hash, value);
    }
    grown
}

/// Comes before all else: what was freed is used again, and then not seen.
fn memory(hashes: &[PerceptualHash]) {
    let per_hash = |before: usize| resident_bytes().saturating_sub(before) as f64 / hashes.len() as f64;
    let before = resident_bytes();
    let built: HashIndex<i64> = hashes.iter().copied().zip(0..).collect();
    let built_bytes = per_hash(before);
    let before = resident_bytes();
    let grown = grow(hashes);
    println!(
        "memory: {built_bytes:.0} bytes a hash built at once, {:.0} grown one by one ({} and {} hashes)",
        per_hash(before),
        built.len(),
        grown.len()
    );
}

fn speed(name: &str, hashes: &[PerceptualHash]) {
    println!("\n(a) {} hashes, {name}", hashes.len());
    let began = Instant::now();
    let built: HashIndex<i64> = hashes.iter().copied().zip(0..).collect();
    println!("built at once: {:.2} s", began.elapsed().as_secs_f64());
    drop(built);
    let began = Instant::now();
    let grown = grow(hashes);
    println!("grown one by one: {:.2} s", began.elapsed().as_secs_f64());
    for distance in [4, 8] {
        let began = Instant::now();
        let n_pairs = near_pairs(hashes, distance).len();
        let seconds = began.elapsed().as_secs_f64();
        let began = Instant::now();
        let n_near: usize = hashes.par_iter().map(|hash| grown.within(*hash, distance).len() - 1).sum();
        println!(
            "all pairs within {distance}: {n_pairs} in {seconds:.2} s; asking the index for each hash: {} in {:.2} s",
            n_near / 2,
            began.elapsed().as_secs_f64()
        );
    }
    let asked: Vec<PerceptualHash> = hashes.iter().step_by(hashes.len() / 1_000).copied().collect();
    for distance in [4, 8, 12] {
        let (median, p99) = microseconds(&asked, |hash| grown.within(hash, distance).len());
        let near = |hash: PerceptualHash| hashes.iter().filter(|other| other.distance(hash) <= distance).count();
        let (median_all, p99_all) = microseconds(&asked[..100], near);
        println!(
            "within {distance:2}: median {median:.1} us, p99 {p99:.1} us; comparing all: {median_all:.0} us, p99 {p99_all:.0} us"
        );
    }
}

/// Median and 99th percentile of the best of three rounds: the machine has other work too.
fn microseconds(asked: &[PerceptualHash], mut ask: impl FnMut(PerceptualHash) -> usize) -> (f64, f64) {
    let mut best = vec![f64::INFINITY; asked.len()];
    for _ in 0..3 {
        for (hash, best) in asked.iter().zip(&mut best) {
            let began = Instant::now();
            std::hint::black_box(ask(*hash));
            *best = best.min(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    best.sort_by(f64::total_cmp);
    (best[best.len() / 2], best[best.len() * 99 / 100])
}

/// Memory of this process; 0 where there is no /proc.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).map_or(0, |pages| pages * 4_096)
}

/// A name and what is done to a picture.
type Copying = (&'static str, fn(&RgbImage) -> RgbImage);

fn copyings() -> [Copying; 16] {
    [
        ("resized to 50 %", |p| scaled(p, 0.5)),
        ("resized to 25 %", |p| scaled(p, 0.25)),
        ("resized to 150 %", |p| scaled(p, 1.5)),
        ("JPEG quality 75", |p| jpeg(p, 75)),
        ("JPEG quality 50", |p| jpeg(p, 50)),
        ("JPEG quality 30", |p| jpeg(p, 30)),
        ("50 %, then quality 50", |p| jpeg(&scaled(p, 0.5), 50)),
        ("brighter by 30", |p| toned(p, 1.0, 30.0)),
        ("contrast x 1.4", |p| toned(p, 1.4, 0.0)),
        ("mirrored", mirror),
        ("cropped 2 % a side", |p| cropped(p, [0.02; 4])),
        ("cropped 3.5 % a side", |p| cropped(p, [0.035; 4])),
        ("cropped 5 % a side", |p| cropped(p, [0.05; 4])),
        ("cropped 7.5 % a side", |p| cropped(p, [0.075; 4])),
        ("cropped 10 % a side", |p| cropped(p, [0.1; 4])),
        ("cropped 10 % at the left", |p| cropped(p, [0.1, 0.0, 0.0, 0.0])),
    ]
}

fn own_hash(picture: &RgbImage) -> Vec<PerceptualHash> {
    vec![perceptual_hash(picture)]
}

fn both_looks(picture: &RgbImage) -> Vec<PerceptualHash> {
    let looks = looks(picture);
    vec![looks.hash, looks.mirrored]
}

/// A way of asking: which hashes stand for the picture that is new.
type Asking = (&'static str, fn(&RgbImage) -> Vec<PerceptualHash>);

const ASKINGS: [Asking; 3] = [("hash", own_hash), ("looks", both_looks), ("copies_of", copies_of)];

fn nearest(asked: &[PerceptualHash], kept: PerceptualHash) -> u32 {
    asked.iter().map(|hash| hash.distance(kept)).min().unwrap_or(64)
}

fn recall(photographs: &[Photograph]) {
    println!("\n(b) recall, % of {} photographs, within {DISTANCES:?} bits", photographs.len());
    println!("asked with the copy for its original, and (<) with the original for its copy where that differs");
    let n_ways = ASKINGS.len() * 2;
    for (name, copying) in copyings() {
        let distances: Vec<Vec<u32>> = photographs
            .par_iter()
            .map(|Photograph { picture, .. }| {
                let copy = copying(picture);
                let (kept, kept_copy) = (perceptual_hash(picture), perceptual_hash(&copy));
                let ways = ASKINGS.iter();
                ways.flat_map(|(_, ask)| [nearest(&ask(&copy), kept), nearest(&ask(picture), kept_copy)]).collect()
            })
            .collect();
        let rows: Vec<String> = (0..n_ways)
            .map(|way| {
                let share = |most: u32| distances.iter().filter(|of| of[way] <= most).count() as f64;
                DISTANCES.map(|most| format!("{:6.1}", 100.0 * share(most) / distances.len() as f64)).concat()
            })
            .collect();
        for (way, (asking, _)) in ASKINGS.iter().enumerate() {
            println!("{name:26} {asking:10} {}", rows[2 * way]);
            if rows[2 * way] != rows[2 * way + 1] {
                println!("{:26} {asking:10}<{}", "", rows[2 * way + 1]);
            }
        }
    }
}

fn false_matches(photographs: &[Photograph]) {
    println!("\n(c) matches among different photographs, all upright and most of them faces that fill the picture");
    println!(
        "Counted as false: pairs of different names. Eight near pairs were looked at: five of one name were frames of"
    );
    println!(
        "one film or shots of one event, three of different names were different people. Without ties a hash has 32"
    );
    println!("bits set, so distances are even.");
    let kept: Vec<PerceptualHash> = photographs.iter().map(|photograph| perceptual_hash(&photograph.picture)).collect();
    for (name, ask) in ASKINGS {
        // Pairs by distance: of one subject, and of different ones.
        let mut counts = [[0u64; 65]; 2];
        for (a, photograph) in photographs.iter().enumerate() {
            let asked = ask(&photograph.picture);
            for (b, other) in photographs.iter().enumerate().filter(|(b, _)| *b != a) {
                let is_false = usize::from(other.subject != photograph.subject);
                counts[is_false][nearest(&asked, kept[b]) as usize] += 1;
            }
        }
        let n_pairs: u64 = counts[1].iter().sum();
        println!("{name}: {n_pairs} ordered pairs of different names");
        for most in DISTANCES {
            let up_to = |counts: &[u64; 65]| counts[..=most as usize].iter().sum::<u64>();
            let share = up_to(&counts[1]) as f64 / n_pairs as f64;
            let (one, different) = (up_to(&counts[0]), up_to(&counts[1]));
            println!(
                "  within {most:2}: {different:5} false, share {share:.1e}, {:.1} a query among 1M; of one name {one}",
                share * 1e6
            );
        }
    }
}

fn scaled(picture: &RgbImage, factor: f64) -> RgbImage {
    let side = |pixels: u32| (f64::from(pixels) * factor).round() as u32;
    resize(picture, side(picture.width), side(picture.height))
}

fn jpeg(picture: &RgbImage, quality: u8) -> RgbImage {
    decode(&encode_jpeg(picture, quality).unwrap(), &Limits::default()).unwrap().image
}

fn toned(picture: &RgbImage, contrast: f32, brighter: f32) -> RgbImage {
    let tone = |value: &u8| ((f32::from(*value) - 128.0) * contrast + 128.0 + brighter).clamp(0.0, 255.0) as u8;
    RgbImage { pixels: picture.pixels.iter().map(tone).collect(), ..*picture }
}

fn mirror(picture: &RgbImage) -> RgbImage {
    let swapped = |row: &[u8]| row.rchunks_exact(3).flatten().copied().collect::<Vec<u8>>();
    RgbImage { pixels: picture.pixels.chunks_exact(3 * picture.width as usize).flat_map(swapped).collect(), ..*picture }
}

/// Without these shares of its sides: left, top, right, bottom.
fn cropped(picture: &RgbImage, [left, top, right, bottom]: [f32; 4]) -> RgbImage {
    let (width, height) = (picture.width as f32, picture.height as f32);
    let (x, y) = ((left * width).round(), (top * height).round());
    let (across, down) = ((width * (1.0 - right)).round() - x, (height * (1.0 - bottom)).round() - y);
    crop_resize(picture, BoundingBox { x, y, width: across, height: down }, across as u32, down as u32)
}
