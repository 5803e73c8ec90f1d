//! Are hostile files read rightly or refused with their reason? The shared table of broken files, and mutated pictures.

#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use std::path::Path;

use affectory_imaging::{Limits, RgbImage, decode, decode_for, encode_png, read_header};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// The upright size, or a part of the reason.
type Outcome = Result<(u32, u32), &'static str>;

/// Each file of `AFFECTORY_DATA/broken`.
const EXPECTED: [(&str, Outcome); 21] = [
    ("animated.gif", Ok((200, 200))),
    ("bad_crc.png", Err("CRC")),
    ("bitflips.jpg", Err("damaged jpeg")),
    ("bomb_20000x20000.png", Err("20000x20000, the limit is")),
    ("cmyk.jpg", Ok((572, 562))),
    ("empty.jpg", Err("empty")),
    ("exif_rotated_90.jpg", Ok((572, 562))),
    ("gray16.png", Ok((300, 300))),
    ("html_named.jpg", Err("HTML")),
    ("huge_header.png", Err("2147483647x2147483647, the limit is")),
    ("name with space & ünïcode.jpg", Ok((572, 562))),
    ("no_face_noise.png", Ok((300, 300))),
    ("one_pixel.png", Ok((1, 1))),
    ("palette.png", Ok((572, 562))),
    ("panorama_1x8000.png", Ok((8000, 1))),
    ("png_named.jpg", Ok((572, 562))),
    ("svg_script.svg", Err("SVG")),
    ("truncated.jpg", Err("truncated")),
    ("truncated_header.jpg", Err("damaged jpeg")),
    ("webp.webp", Ok((572, 562))),
    ("zip.jpg", Err("zip")),
];

#[test]
fn every_broken_file_is_read_rightly_or_refused_with_its_reason() {
    #[expect(clippy::disallowed_methods, reason = "a test asks where the data is")]
    let Ok(data) = std::env::var("AFFECTORY_DATA") else {
        println!("SKIPPED: the broken files are in AFFECTORY_DATA, which is not set");
        return;
    };
    let folder = Path::new(&data).join("broken");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), EXPECTED.len());
    for (name, expected) in EXPECTED {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        match (decode(&bytes, &Limits::default()), expected) {
            (Ok(found), Ok(size)) => assert_eq!((found.image.width, found.image.height), size, "{name}"),
            (Err(found), Err(reason)) => assert!(found.to_string().contains(reason), "{name}: {found}"),
            (found, _) => panic!("{name}: {:?}", found.map(|d| (d.image.width, d.image.height))),
        }
    }
}

/// The four pictures that show the same scene agree after decoding, whatever they were stored as.
#[test]
fn cmyk_palette_and_rotated_copies_show_the_same_picture() {
    #[expect(clippy::disallowed_methods, reason = "a test asks where the data is")]
    let Ok(data) = std::env::var("AFFECTORY_DATA") else {
        println!("SKIPPED: the broken files are in AFFECTORY_DATA, which is not set");
        return;
    };
    let read = |name: &str| {
        let bytes = std::fs::read(Path::new(&data).join("broken").join(name)).unwrap();
        decode(&bytes, &Limits::default()).unwrap().image
    };
    let plain = read("png_named.jpg");
    // A palette of a few colours is further off than what compression does.
    for (name, limit) in [("exif_rotated_90.jpg", 16.0), ("cmyk.jpg", 16.0), ("webp.webp", 16.0), ("palette.png", 24.0)]
    {
        let other = read(name);
        let distance: u64 = plain.pixels.iter().zip(&other.pixels).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
        let mean = distance as f64 / plain.pixels.len() as f64;
        assert!(mean < limit, "{name} differs by {mean:.1} of 255 on average");
    }
}

/// A picture as a JPEG of each kind.
fn jpegs(width: u16, height: u16) -> Vec<Vec<u8>> {
    let mut jpegs = Vec::new();
    for (colour, n_channels) in [(ColorType::Luma, 1), (ColorType::Rgb, 3), (ColorType::Cmyk, 4)] {
        let pixels: Vec<u8> =
            (0..usize::from(width) * usize::from(height) * n_channels).map(|at| (at * 31 % 97) as u8).collect();
        for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2, SamplingFactor::F_1_4] {
            for is_progressive in [false, true] {
                let mut bytes = Vec::new();
                let mut encoder = Encoder::new(&mut bytes, 80);
                encoder.set_sampling_factor(sampling);
                encoder.set_progressive(is_progressive);
                encoder.encode(&pixels, width, height, colour).unwrap();
                jpegs.push(bytes);
            }
        }
    }
    jpegs
}

#[test]
fn no_mutated_picture_makes_the_decoder_panic_or_pass_its_limits() {
    let mut picture = RgbImage::filled(37, 23, [200, 100, 50]);
    for (at, value) in picture.pixels.iter_mut().enumerate() {
        *value = value.wrapping_add((at * 31 % 97) as u8);
    }
    let limits = Limits { max_pixels: 100_000, ..Limits::default() };
    for all in [vec![encode_png(&picture).unwrap()], jpegs(37, 23)] {
        arbtest::arbtest(|u| {
            let mut bytes = u.choose(&all)?.clone();
            // What a picture announces lies in its first part.
            let within = if u.ratio(1, 2)? { bytes.len() } else { bytes.len().min(200) };
            for _ in 0..u.int_in_range(1..=8usize)? {
                let at = u.int_in_range(0..=within - 1)?;
                bytes[at] = u.arbitrary()?;
            }
            if u.ratio(1, 4)? {
                bytes.truncate(u.int_in_range(0..=bytes.len())?);
            }
            let header = read_header(&bytes, &limits);
            let pictures = [
                decode(&bytes, &limits).map(|decoded| (decoded.image, 1)),
                decode_for(&bytes, &limits, |_, _| 0.3).map(|shrunk| (shrunk.image, shrunk.shrink)),
            ];
            for (image, shrink) in pictures.into_iter().flatten() {
                let header = header.as_ref().unwrap();
                let size = (header.width.div_ceil(shrink), header.height.div_ceil(shrink));
                assert_eq!((image.width, image.height), size);
                let n_pixels = u64::from(image.width) * u64::from(image.height);
                assert!(n_pixels <= 100_000);
                assert_eq!(image.pixels.len() as u64, n_pixels * 3);
            }
            Ok(())
        })
        .budget_ms(3_000);
    }
}

/// One that announces its fourth colour at twice the size of the others, over which zune-jpeg 0.5.15 panics.
#[test]
fn a_decoder_that_breaks_down_is_a_refusal() {
    let frame = |jpeg: &Vec<u8>| jpeg.windows(2).position(|marker| marker == [0xff, 0xc2]);
    let mut cmyk = jpegs(4, 1).into_iter().find(|jpeg| frame(jpeg).is_some_and(|at| jpeg[at + 9] == 4)).unwrap();
    let at = frame(&cmyk).unwrap();
    for component in 0..4 {
        cmyk[at + 11 + 3 * component] = if component == 3 { 0x22 } else { 0x11 };
    }
    let limits = Limits::default();
    assert!(read_header(&cmyk, &limits).is_ok());
    for refusal in [decode(&cmyk, &limits).unwrap_err(), decode_for(&cmyk, &limits, |_, _| 0.3).unwrap_err()] {
        assert!(refusal.to_string().contains("broke down"), "{refusal}");
    }
}
