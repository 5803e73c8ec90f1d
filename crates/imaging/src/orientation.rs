//! Which way is up? EXIF orientation, read and applied.

use crate::RgbImage;

/// The orientation, 1 to 8, in an EXIF block; 1 (upright) if it says nothing readable.
pub(crate) fn exif_orientation(exif: &[u8]) -> u32 {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    exif::Reader::new()
        .read_raw(tiff.to_vec())
        .ok()
        .and_then(|fields| fields.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?.value.get_uint(0))
        .filter(|orientation| (1..=8).contains(orientation))
        .unwrap_or(1)
}

/// The picture as its photographer saw it. Orientations as in EXIF 2.32, table "Orientation".
pub(crate) fn turned_upright(image: RgbImage, orientation: u32) -> RgbImage {
    if !(2..=8).contains(&orientation) {
        return image;
    }
    let (from_width, from_height) = (image.width as usize, image.height as usize);
    let is_transposed = orientation >= 5;
    let (width, height) = if is_transposed { (from_height, from_width) } else { (from_width, from_height) };
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for y in 0..height {
        for x in 0..width {
            let (column, row) = match orientation {
                2 => (from_width - 1 - x, y),
                3 => (from_width - 1 - x, from_height - 1 - y),
                4 => (x, from_height - 1 - y),
                5 => (y, x),
                6 => (y, from_height - 1 - x),
                7 => (from_width - 1 - y, from_height - 1 - x),
                _ => (from_width - 1 - y, x),
            };
            let at = (row * from_width + column) * 3;
            pixels.extend_from_slice(&image.pixels[at..at + 3]);
        }
    }
    RgbImage { width: width as u32, height: height as u32, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2x3 pixels whose red channel is their number.
    fn numbered() -> RgbImage {
        RgbImage { width: 2, height: 3, pixels: (0..6).flat_map(|i| [i, 0, 0]).collect() }
    }

    fn reds(image: &RgbImage) -> Vec<u8> {
        image.pixels.iter().step_by(3).copied().collect()
    }

    #[test]
    fn each_orientation_is_undone() {
        let expected: [(u32, [u8; 6]); 8] = [
            (1, [0, 1, 2, 3, 4, 5]),
            (2, [1, 0, 3, 2, 5, 4]),
            (3, [5, 4, 3, 2, 1, 0]),
            (4, [4, 5, 2, 3, 0, 1]),
            (5, [0, 2, 4, 1, 3, 5]),
            (6, [4, 2, 0, 5, 3, 1]),
            (7, [5, 3, 1, 4, 2, 0]),
            (8, [1, 3, 5, 0, 2, 4]),
        ];
        for (orientation, order) in expected {
            let upright = turned_upright(numbered(), orientation);
            assert_eq!(reds(&upright), order, "orientation {orientation}");
            assert_eq!(upright.width, if orientation >= 5 { 3 } else { 2 });
        }
    }

    #[test]
    fn nonsense_is_upright() {
        assert_eq!(exif_orientation(b"nonsense"), 1);
        assert_eq!(exif_orientation(b""), 1);
    }
}
