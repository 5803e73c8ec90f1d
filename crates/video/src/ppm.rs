//! Where does one picture end and the next begin in ffmpeg's stream of PPM files?

use std::io::{self, Read};

use affectory_imaging::{Limits, RgbImage};

use crate::VideoError;

/// More than a header has.
const MAX_HEADER: usize = 64;

/// What the stream holds next.
pub(crate) enum Next {
    /// A picture, in the buffer that was handed over.
    Picture,
    /// The end, at a place where one may be.
    End,
    /// The end in the middle of a picture.
    Cut,
}

/// Reads a picture into `image`, whose memory is used again.
pub(crate) fn read_picture(from: &mut impl Read, limits: &Limits, image: &mut RgbImage) -> Result<Next, VideoError> {
    let Some((width, height)) = header(from) else { return Ok(Next::Cut) };
    if (width, height) == (0, 0) {
        return Ok(Next::End);
    }
    limits.check_pixels(width.into(), height.into())?;
    (image.width, image.height) = (width, height);
    image.pixels.resize(width as usize * height as usize * 3, 0);
    Ok(if from.read_exact(&mut image.pixels).is_ok() { Next::Picture } else { Next::Cut })
}

/// Width and height of `P6 WIDTH HEIGHT 255`; zeros at the end of the stream.
fn header(from: &mut impl Read) -> Option<(u32, u32)> {
    let mut words: [String; 4] = Default::default();
    let mut at = 0;
    for n_read in 0..MAX_HEADER {
        let mut byte = [0];
        match from.read_exact(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && n_read == 0 => return Some((0, 0)),
            Err(_) => return None,
            Ok(()) if !byte[0].is_ascii_whitespace() => words[at].push(byte[0].into()),
            Ok(()) => at += 1,
        }
        if at == words.len() {
            break;
        }
    }
    let [magic, width, height, most] = words;
    let side = |word: String| word.parse::<u32>().ok().filter(|side| *side > 0);
    if magic == "P6" && most == "255" { Some((side(width)?, side(height)?)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pictures_and_the_end() {
        let mut bytes = &b"P6\n2 1\n255\nabcdefP6\n1 1\n255\nxyz"[..];
        let mut image = RgbImage::filled(1, 1, [0; 3]);
        let mut next = || read_picture(&mut bytes, &Limits::default(), &mut image).map(|next| (next, image.clone()));
        assert!(matches!(next(), Ok((Next::Picture, picture)) if picture.pixels == b"abcdef" && picture.width == 2));
        assert!(matches!(next(), Ok((Next::Picture, picture)) if picture.pixels == b"xyz"));
        assert!(matches!(next(), Ok((Next::End, _))));
    }

    #[test]
    fn what_is_cut_or_wrong_ends_it_and_sizes_are_limited() {
        let next = |bytes: &[u8]| {
            let mut image = RgbImage::filled(1, 1, [0; 3]);
            read_picture(&mut &bytes[..], &Limits::default(), &mut image)
        };
        for bytes in [&b"P6\n2 1\n255\nabc"[..], b"P6\n2", b"P5\n1 1\n255\na", b"P6\n0 4\n255\n", &[b'7'; 500]] {
            assert!(matches!(next(bytes), Ok(Next::Cut)), "{bytes:?}");
        }
        assert!(matches!(next(b"P6\n99999 99999\n255\n"), Err(VideoError::TooLarge(_))));
    }
}
