//! How near is a picture that was decoded smaller to the whole one? And with the feature `turbojpeg`: does libjpeg-turbo see
//! what zune-jpeg sees?

#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use affectory_imaging::{Fit, Limits, decode, decode_for, fit, fit_shrunk};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// Neither is a multiple of anything.
const WIDTH: usize = 203;
const HEIGHT: usize = 149;

/// The most that a picture is shrunk by.
const MOST: u32 = if cfg!(feature = "turbojpeg") { 8 } else { 4 };

/// Waves of three colours.
fn waves(width: usize, height: usize, n_channels: usize) -> Vec<u8> {
    let value = |at: usize| {
        let (x, y) = ((at / n_channels % width) as f32, (at / n_channels / width) as f32);
        let phase = (at % n_channels) as f32;
        (127.0 + 70.0 * (x / 19.0 + phase).sin() + 50.0 * (y / 13.0 - phase).cos()) as u8
    };
    (0..width * height * n_channels).map(value).collect()
}

fn encoded(colour: ColorType, sampling: SamplingFactor, is_progressive: bool) -> Vec<u8> {
    let n_channels = match colour {
        ColorType::Luma => 1,
        ColorType::Cmyk | ColorType::CmykAsYcck => 4,
        _ => 3,
    };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    encoder.set_sampling_factor(sampling);
    encoder.set_progressive(is_progressive);
    encoder.encode(&waves(WIDTH, HEIGHT, n_channels), WIDTH as u16, HEIGHT as u16, colour).unwrap();
    bytes
}

fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

/// What is drawn, each pixel the mean of `shrink` times `shrink`.
fn averaged(drawn: &[u8], shrink: usize) -> Vec<u8> {
    let (width, height) = (WIDTH.div_ceil(shrink), HEIGHT.div_ceil(shrink));
    let mean = |at: usize| {
        let (x, y, channel) = (at / 3 % width * shrink, at / 3 / width * shrink, at % 3);
        let (rows, columns) = (y..(y + shrink).min(HEIGHT), x..(x + shrink).min(WIDTH));
        let n_pixels = (rows.len() * columns.len()) as f64;
        let sum = rows.flat_map(|y| columns.clone().map(move |x| drawn[(y * WIDTH + x) * 3 + channel]));
        (sum.map(f64::from).sum::<f64>() / n_pixels).round() as u8
    };
    (0..width * height * 3).map(mean).collect()
}

#[test]
fn a_smaller_picture_is_the_drawn_one_averaged_whatever_the_jpeg_is() {
    let drawn = waves(WIDTH, HEIGHT, 3);
    let greys: Vec<u8> = waves(WIDTH, HEIGHT, 1).into_iter().flat_map(|v| [v; 3]).collect();
    for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2] {
        for is_progressive in [false, true] {
            for (colour, drawn) in [(ColorType::Rgb, &drawn), (ColorType::Luma, &greys)] {
                let bytes = encoded(colour, sampling, is_progressive);
                for shrink in [2, 4] {
                    let picture = decode_for(&bytes, &Limits::default(), |_, _| 1.0 / f64::from(shrink)).unwrap();
                    assert_eq!((picture.shrink, picture.size), (shrink, (203, 149)), "{colour:?} {sampling:?}");
                    let mean = mean_difference(&picture.image.pixels, &averaged(drawn, shrink as usize));
                    println!("{colour:?} {sampling:?}, progressive {is_progressive}, by {shrink}: {mean:.2}");
                    assert!(mean < 2.0, "{colour:?} {sampling:?} {is_progressive} by {shrink}: {mean} of 255");
                }
            }
        }
    }
}

/// What a smaller one is made of by hand where nothing decodes it smaller, and where its lower half is missing.
#[test]
fn a_rare_or_damaged_picture_is_what_it_is_whole() {
    let whole = encoded(ColorType::Rgb, SamplingFactor::F_2_2, false);
    // Red, green and blue by the names of its components, which nothing else says.
    let mut named = encoded(ColorType::Rgb, SamplingFactor::F_1_1, false);
    for (marker, first, step) in [([0xff, 0xc0], 10, 3), ([0xff, 0xda], 5, 2)] {
        let at = named.windows(2).position(|pair| pair == marker).unwrap();
        (0..3).for_each(|n| named[at + first + step * n] = b"RGB"[n]);
    }
    let limits = Limits::default();
    for (what, bytes) in [
        ("CMYK", encoded(ColorType::Cmyk, SamplingFactor::F_1_1, false)),
        ("YCCK", encoded(ColorType::CmykAsYcck, SamplingFactor::F_1_1, false)),
        ("a colour in four columns", encoded(ColorType::Rgb, SamplingFactor::F_4_1, true)),
        ("named RGB", named),
        ("cut in half", [&whole[..whole.len() / 2], &[0xff, 0xd9]].concat()),
    ] {
        let expected = fit(&decode(&bytes, &limits).unwrap().image, 50, Fit::KeepRatio, &limits).unwrap();
        let smaller = decode_for(&bytes, &limits, |_, _| 0.5).unwrap();
        let mean =
            mean_difference(&fit_shrunk(&smaller, 50, Fit::KeepRatio, &limits).unwrap().pixels, &expected.pixels);
        println!("{what}: {mean:.2} at 1/{}", smaller.shrink);
        assert!(mean < 3.0, "{what}: {mean} of 255 on average at 1/{}", smaller.shrink);
    }
}

#[test]
fn a_picture_decoded_for_its_size_is_fitted_like_the_whole_one() {
    let bytes = encoded(ColorType::Rgb, SamplingFactor::F_2_2, false);
    let limits = Limits::default();
    let whole = decode(&bytes, &limits).unwrap().image;
    for how in [Fit::Border, Fit::KeepRatio, Fit::CenterCrop] {
        for (size, shrink) in [(18, MOST), (36, 4), (70, 2), (140, 1)] {
            let shrunk = decode_for(&bytes, &limits, |width, height| how.scale(width, height, size)).unwrap();
            assert_eq!((shrunk.shrink, shrunk.size), (shrink, (203, 149)), "{how:?} {size}");
            let fitted = fit_shrunk(&shrunk, size, how, &limits).unwrap();
            let expected = fit(&whole, size, how, &limits).unwrap();
            assert_eq!((fitted.width, fitted.height), (expected.width, expected.height));
            let mean = mean_difference(&fitted.pixels, &expected.pixels);
            println!("{how:?} {size}: {mean:.2}");
            assert!(mean < 3.0, "{how:?} to {size}: {mean} of 255 on average");
        }
    }
}

/// The system's libjpeg-turbo beside zune-jpeg.
#[cfg(feature = "turbojpeg")]
mod turbo {
    use zune_core::bytestream::ZCursor;
    use zune_core::colorspace::ColorSpace;
    use zune_core::options::DecoderOptions;

    use super::*;

    fn by_zune(bytes: &[u8]) -> Option<Vec<u8>> {
        let options = DecoderOptions::default().set_strict_mode(false).jpeg_set_out_colorspace(ColorSpace::RGB);
        zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options).decode().ok()
    }

    #[test]
    fn both_decoders_see_the_picture_that_was_drawn() {
        let samplings = [
            SamplingFactor::F_1_1,
            SamplingFactor::F_2_1,
            SamplingFactor::F_1_2,
            SamplingFactor::F_2_2,
            SamplingFactor::F_4_1,
            SamplingFactor::F_4_2,
            SamplingFactor::F_1_4,
            SamplingFactor::F_2_4,
        ];
        let (colours, greys) =
            (waves(WIDTH, HEIGHT, 3), waves(WIDTH, HEIGHT, 1).into_iter().flat_map(|v| [v; 3]).collect());
        for sampling in samplings {
            for is_progressive in [false, true] {
                for (colour, drawn) in [(ColorType::Rgb, &colours), (ColorType::Luma, &greys)] {
                    let bytes = encoded(colour, sampling, is_progressive);
                    let ours = decode(&bytes, &Limits::default()).unwrap().image.pixels;
                    // zune-jpeg 0.5.15 makes a mess of these.
                    let is_misread = !is_progressive
                        && colour == ColorType::Rgb
                        && matches!(sampling, SamplingFactor::F_4_2 | SamplingFactor::F_1_4 | SamplingFactor::F_2_4);
                    let from_drawn = mean_difference(&ours, drawn);
                    let from_zune = mean_difference(&ours, &by_zune(&bytes).unwrap());
                    println!(
                        "{colour:?} {sampling:?}, progressive {is_progressive}: {from_drawn:.2}, zune-jpeg {from_zune:.2}"
                    );
                    assert!(
                        from_drawn < 3.5,
                        "{colour:?} {sampling:?} {is_progressive}: {from_drawn} of 255 on average"
                    );
                    assert!(from_zune < 0.5 || is_misread, "{colour:?} {sampling:?} {is_progressive}: {from_zune}");
                }
            }
        }
    }

    #[test]
    fn what_the_library_cannot_or_will_not_read_is_read_by_zune() {
        let whole = encoded(ColorType::Rgb, SamplingFactor::F_2_2, false);
        for bytes in [
            encoded(ColorType::Cmyk, SamplingFactor::F_1_1, false),
            encoded(ColorType::CmykAsYcck, SamplingFactor::F_1_1, false),
            [&whole[..whole.len() / 2], &[0xff, 0xd9]].concat(),
        ] {
            let ours = decode(&bytes, &Limits::default()).ok().map(|decoded| decoded.image.pixels);
            assert!(ours == by_zune(&bytes), "not what zune-jpeg makes of it");
        }
    }
}
