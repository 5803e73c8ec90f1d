//! What is a picture once it is decoded?

/// Upright 8-bit RGB, rows from the top, 3 bytes a pixel, no padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Pixels in a row, > 0.
    pub width: u32,
    /// Rows, > 0.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub pixels: Vec<u8>,
}

/// 8-bit grey, rows from the top, 1 byte a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrayImage {
    /// Pixels in a row, > 0.
    pub width: u32,
    /// Rows, > 0.
    pub height: u32,
    /// `width * height` bytes.
    pub pixels: Vec<u8>,
}

impl RgbImage {
    /// A picture of one colour.
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Self {
        Self { width, height, pixels: colour.repeat(width as usize * height as usize) }
    }

    /// Luma by ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), rounded.
    pub fn to_gray(&self) -> GrayImage {
        let pixels = self
            .pixels
            .chunks_exact(3)
            .map(|p| ((299 * u32::from(p[0]) + 587 * u32::from(p[1]) + 114 * u32::from(p[2]) + 500) / 1000) as u8)
            .collect();
        GrayImage { width: self.width, height: self.height, pixels }
    }
}
