//! How fast does a JPEG become a face of 224x224 floats, beside torchvision and Pillow on the same pictures?
//!
//! `cargo bench -p affectory-imaging --bench decode [--features turbojpeg]`, with `scenes` and `inthewild` in the folder
//! `AFFECTORY_DATA` names (without, the portrait inside the program is read again and again) and a Python that has
//! torchvision and Pillow in `AFFECTORY_YARDSTICK_PYTHON`. All sides: decoding, a square crop, bilinear with antialiasing,
//! f32 from 0 to 1; one thread, user and system time. Sides take turns; what is printed is each one's median.
//!
//! Whether glibc gives a picture's memory back after each one is a matter of luck (at 1280x960 torchvision takes 6.0 or
//! 11.1 ms, Pillow 6.1 or 13.4, alone in a process mostly the latter; the difference is 2,000 page faults). Here all sides
//! are told to keep it, so that decoders are compared and not allocators: ours by a process of its own, too.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use affectory_core::BoundingBox;
use affectory_imaging::{Chroma, JPEG_DECODER, Limits, RgbImage, crop_resize, decode, decode_for, encode_jpeg_with};

/// Side of what a network reads.
const SIDE: u32 = 224;

/// Times the sides take turns.
const N_TURNS: usize = 5;

/// Most pictures of a size.
const N_PICTURES: usize = 60;

/// Pixels decoded in a turn, about: some 2 seconds of CPU time, which is counted in ticks of 10 ms.
const PIXELS_A_TURN: usize = 250_000_000;

#[expect(clippy::disallowed_methods, reason = "a benchmark asks where data and yardstick are")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What tells glibc to keep the memory of a picture.
const KEEP_MEMORY: [(&str, &str); 2] =
    [("MALLOC_MMAP_THRESHOLD_", "33554432"), ("MALLOC_TRIM_THRESHOLD_", "1073741824")];

fn main() {
    if variable(KEEP_MEMORY[0].0).is_none() {
        // glibc reads it when a process begins.
        let status = Command::new(std::env::current_exe().unwrap()).envs(KEEP_MEMORY).status().unwrap();
        assert!(status.success());
        return;
    }
    let data = variable("AFFECTORY_DATA");
    if data.is_none() {
        println!("without AFFECTORY_DATA: one portrait, again and again");
    }
    println!("ours: {JPEG_DECODER}");
    // A face that was cropped generously, and one in a photograph of a room.
    for (width, height, side, folder) in [(425, 425, 300, "inthewild/images"), (1280, 960, 520, "scenes")] {
        let jpegs = jpegs(data.as_deref().map(|data| Path::new(data).join(folder)), width, height);
        let n_bytes: usize = jpegs.iter().map(Vec::len).sum();
        let share = n_bytes as f64 / (jpegs.len() * width * height) as f64;
        println!("{} JPEGs of {width}x{height}, {share:.2} bytes a pixel, crop of {side}x{side}", jpegs.len());
        let crop = [(width - side) / 2, (height - side) / 2, side];
        say_likeness(&jpegs, crop);
        compare(&jpegs, crop, PIXELS_A_TURN / (width * height));
    }
}

/// Photographs of a folder at one size, quality 88, colour on every second pixel, as cameras and downloaders write them.
fn jpegs(folder: Option<PathBuf>, width: usize, height: usize) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = match folder {
        Some(folder) => std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect(),
        None => vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../affectory/assets/astronaut.png")],
    };
    paths.sort();
    let step = paths.len().div_ceil(N_PICTURES).max(1);
    let photographs =
        paths.iter().step_by(step).filter_map(|path| decode(&std::fs::read(path).unwrap(), &Limits::default()).ok());
    photographs
        .map(|photograph| {
            encode_jpeg_with(&covering(&photograph.image, width as u32, height as u32), 88, Chroma::Quarter).unwrap()
        })
        .collect()
}

/// The middle of a picture, as much as has this shape, at this size.
fn covering(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let scale = (image.width as f32 / width as f32).min(image.height as f32 / height as f32);
    let (across, down) = (width as f32 * scale, height as f32 * scale);
    let middle = BoundingBox {
        x: (image.width as f32 - across) / 2.0,
        y: (image.height as f32 - down) / 2.0,
        width: across,
        height: down,
    };
    crop_resize(image, middle, width, height)
}

/// How near crops of pictures decoded smaller are to crops of whole ones.
fn say_likeness(jpegs: &[Vec<u8>], crop: [usize; 3]) {
    let psnr = |jpeg: &Vec<u8>| {
        let (whole, shrunk) = (face(jpeg, crop, false), face(jpeg, crop, true));
        let squares: f64 = whole.iter().zip(&shrunk).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        -10.0 * (squares / whole.len() as f64).log10()
    };
    let mut all: Vec<f64> = jpegs.iter().map(psnr).filter(|psnr| psnr.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    if let (Some(least), Some(median)) = (all.first(), all.get(all.len() / 2)) {
        println!("  {} crops are not of the whole picture: PSNR {least:.1} dB or more, median {median:.1}", all.len());
    }
}

fn compare(jpegs: &[Vec<u8>], crop: [usize; 3], n_pictures: usize) {
    let n_rounds = n_pictures.div_ceil(jpegs.len());
    let folder = std::env::temp_dir().join(format!("affectory-decode-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let python = variable("AFFECTORY_YARDSTICK_PYTHON");
    let mut times: Vec<(String, Vec<f64>)> = Vec::new();
    let mut took = |who: &str, ms| match times.iter_mut().find(|(name, _)| *name == who) {
        Some((_, all)) => all.push(ms),
        None => times.push((who.to_owned(), vec![ms])),
    };
    for _ in 0..N_TURNS {
        took("ours, decoded whole", ours(jpegs, n_rounds, |jpeg| face(jpeg, crop, false)));
        took("ours, decoded for its size", ours(jpegs, n_rounds, |jpeg| face(jpeg, crop, true)));
        if let Some(python) = &python {
            let [torchvision, pillow] = theirs(python, &folder, jpegs, crop, n_rounds);
            took("torchvision", torchvision);
            took("Pillow", pillow);
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
    let medians: Vec<(String, f64)> = times
        .into_iter()
        .map(|(who, mut all)| {
            all.sort_by(f64::total_cmp);
            (who, all[all.len() / 2])
        })
        .collect();
    let of = |name: &str| medians.iter().find(|(who, _)| who == name).map(|(_, ms)| *ms);
    for (who, ms) in &medians {
        let ratios = match (of("torchvision"), of("Pillow")) {
            (Some(torchvision), Some(pillow)) => {
                format!(
                    ", {:.2}x torchvision's speed (aim 1.5), {:.2}x Pillow's (aim 3)",
                    torchvision / ms,
                    pillow / ms
                )
            }
            _ => String::new(),
        };
        println!("  {who:32} {ms:6.2} ms{ratios}");
    }
    if python.is_none() {
        println!("  SKIPPED: torchvision and Pillow, AFFECTORY_YARDSTICK_PYTHON names no Python that has them");
    }
}

fn face(jpeg: &[u8], crop: [usize; 3], may_shrink: bool) -> Vec<f32> {
    let [x, y, side] = crop.map(|v| v as f32);
    let scale = if may_shrink { f64::from(SIDE) / f64::from(side) } else { 1.0 };
    let picture = decode_for(jpeg, &Limits::default(), |_, _| scale).unwrap();
    let place = picture.place(BoundingBox { x, y, width: side, height: side });
    crop_resize(&picture.image, place, SIDE, SIDE).pixels.iter().map(|v| f32::from(*v) * (1.0 / 255.0)).collect()
}

/// CPU milliseconds a picture of torchvision and Pillow.
fn theirs(python: &str, folder: &Path, jpegs: &[Vec<u8>], crop: [usize; 3], n_rounds: usize) -> [f64; 2] {
    let mut lines = String::new();
    for (n, jpeg) in jpegs.iter().enumerate() {
        let path = folder.join(format!("{n}.jpg"));
        std::fs::write(&path, jpeg).unwrap();
        lines += &format!("{}\n", path.display());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/decode.py");
    let mut child = Command::new(python)
        .arg(script)
        .args(crop.map(|v| v.to_string()))
        .arg(n_rounds.div_ceil(3).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the yardstick failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let ms: Vec<f64> = text.split_whitespace().map(|ms| ms.parse().unwrap()).collect();
    [ms[0], ms[1]]
}

fn ours(jpegs: &[Vec<u8>], n_rounds: usize, read: impl Fn(&[u8]) -> Vec<f32>) -> f64 {
    let began = cpu_seconds();
    for _ in 0..n_rounds {
        for jpeg in jpegs {
            std::hint::black_box(read(std::hint::black_box(jpeg)));
        }
    }
    (cpu_seconds() - began) * 1000.0 / (n_rounds * jpegs.len()) as f64
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // utime and stime, in ticks of 10 ms.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
