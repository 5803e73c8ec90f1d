//! Which way do the edges of a picture run? Histograms of oriented gradients (Dalal and Triggs 2005).
//!
//! The numbers are those of scikit-image's `hog` on 8-bit pictures: central differences that are 0 across the border,
//! of a colour picture the channel with the largest gradient, magnitudes summed into the bin of their orientation
//! without interpolation, and blocks of cells that overlap by all but one cell.

use affectory_nets::widened;

use crate::LearnError;
use crate::recipe::Colour;

/// What keeps a norm from dividing by zero in a flat block, scikit-image's value.
const EPSILON: f32 = 1e-5;

/// What L2-Hys cuts a normalised value at (Lowe 2004).
const HYSTERESIS: f32 = 0.2;

/// No face needs more numbers, and a mistyped option does not fill the memory: 64 MiB.
const MAX_FEATURES: usize = 1 << 24;

/// By what a block of cells is divided. With v the block and e = 1e-5:
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum BlockNorm {
    /// v / (|v|_1 + e)
    #[serde(rename = "L1")]
    L1,
    /// sqrt(v / (|v|_1 + e))
    #[serde(rename = "L1-sqrt")]
    L1Sqrt,
    /// v / sqrt(|v|_2^2 + e^2)
    #[serde(rename = "L2")]
    L2,
    /// L2, values above 0.2 cut, and L2 again
    #[serde(rename = "L2-Hys")]
    L2Hys,
}

/// How a picture becomes a descriptor. The defaults are those of Dalal and Triggs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HogOptions {
    /// Bins of a histogram over 180 degrees, 1 to 180.
    pub orientations: usize,
    /// Rows and columns of a cell in pixels, 1 to 1024.
    pub pixels_per_cell: [usize; 2],
    /// Rows and columns of a block in cells, 1 to 32.
    pub cells_per_block: [usize; 2],
    /// By what a block is divided.
    pub block_norm: BlockNorm,
}

impl Default for HogOptions {
    fn default() -> Self {
        Self { orientations: 9, pixels_per_cell: [8, 8], cells_per_block: [2, 2], block_norm: BlockNorm::L2Hys }
    }
}

/// 8-bit pixels, rows from the top, channels interleaved, no padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels<'a> {
    /// `width * height * channels` bytes.
    pub values: &'a [u8],
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// One channel or three.
    pub colour: Colour,
}

/// Whole cells in a picture, and how many places a block has among them; down, then across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grid {
    cells: [usize; 2],
    blocks: [usize; 2],
}

impl HogOptions {
    /// Length of the descriptor of a picture of this size.
    ///
    /// # Errors
    /// [`LearnError::Hog`] for an option out of range, a picture smaller than one block, or more than 2^24 numbers.
    pub fn n_features(&self, width: usize, height: usize) -> Result<usize, LearnError> {
        let grid = self.grid(width, height)?;
        let [block_rows, block_columns] = self.cells_per_block;
        let counts = [grid.blocks[0], grid.blocks[1], block_rows, block_columns, self.orientations];
        let product = counts.into_iter().try_fold(1usize, usize::checked_mul);
        product.filter(|&n| n <= MAX_FEATURES).ok_or_else(|| {
            LearnError::Hog(format!("a picture of {width}x{height} would have more than {MAX_FEATURES} numbers"))
        })
    }

    fn grid(&self, width: usize, height: usize) -> Result<Grid, LearnError> {
        let range = |name: &str, value: usize, high: usize| match value {
            value if (1..=high).contains(&value) => Ok(()),
            value => Err(LearnError::Hog(format!("{name} = {value} is outside 1 to {high}"))),
        };
        range("orientations", self.orientations, 180)?;
        self.pixels_per_cell.iter().try_for_each(|&pixels| range("pixels_per_cell", pixels, 1024))?;
        self.cells_per_block.iter().try_for_each(|&cells| range("cells_per_block", cells, 32))?;
        let block = [0, 1].map(|axis| self.pixels_per_cell[axis] * self.cells_per_block[axis]);
        if height < block[0] || width < block[1] {
            let [rows, columns] = block;
            return Err(LearnError::Hog(format!(
                "a picture of {width}x{height} is smaller than one block of {columns}x{rows}"
            )));
        }
        let cells = [height / self.pixels_per_cell[0], width / self.pixels_per_cell[1]];
        Ok(Grid { cells, blocks: [0, 1].map(|axis| cells[axis] - self.cells_per_block[axis] + 1) })
    }
}

/// The descriptor: for each block (row by row), each of its cells (row by row), each orientation from 0 degrees on.
/// Pixels to the right of the last whole cell or below it count in no cell.
///
/// ```
/// use affectory_learn::{Colour, conventional::{HogOptions, Pixels, hog}};
///
/// // Light falls off to the right: every gradient points along the row, into the first bin.
/// let values: Vec<u8> = (0..256).map(|i| 255 - (i % 16) as u8).collect();
/// let pixels = Pixels { values: &values, width: 16, height: 16, colour: Colour::Grey };
/// let descriptor = hog(pixels, &HogOptions::default())?;
/// assert_eq!(descriptor.len(), 36);
/// assert!(descriptor.iter().enumerate().all(|(i, v)| if i % 9 == 0 { (v - 0.5).abs() < 1e-6 } else { *v == 0.0 }));
/// # Ok::<(), affectory_learn::LearnError>(())
/// ```
///
/// # Errors
/// As [`HogOptions::n_features`], and if `values` has another length than `width`, `height` and `colour` say.
pub fn hog(pixels: Pixels, options: &HogOptions) -> Result<Vec<f32>, LearnError> {
    let Pixels { values, width, height, colour } = pixels;
    let n_features = options.n_features(width, height)?;
    if [height, colour.n_channels()].into_iter().try_fold(width, usize::checked_mul) != Some(values.len()) {
        return Err(LearnError::Hog(format!("{} bytes are no picture of {width}x{height}", values.len())));
    }
    let grid = options.grid(width, height)?;
    Ok(widened(
        #[inline(always)]
        || {
            let histograms = histograms(pixels, options, grid);
            blocks(&histograms, options, grid, n_features)
        },
    ))
}

/// The mean magnitude of each orientation in each cell: `[cell row, cell column, orientation]`.
#[inline(always)]
fn histograms(pixels: Pixels, options: &HogOptions, grid: Grid) -> Vec<f32> {
    let [cell_rows, cell_columns] = options.pixels_per_cell;
    let n_bins = options.orientations;
    let n_used = grid.cells[1] * cell_columns;
    let boundaries = boundaries(n_bins);
    let scale = 1.0 / (cell_rows * cell_columns) as f32;
    let mut row = GradientRow::new(pixels.width);
    let mut histograms = vec![0.0; grid.cells[0] * grid.cells[1] * n_bins];
    for (cell_row, cells) in histograms.chunks_exact_mut(grid.cells[1] * n_bins).enumerate() {
        for y in cell_row * cell_rows..(cell_row + 1) * cell_rows {
            row.fill(pixels, y);
            row.sort(&boundaries);
            let columns = row.magnitudes[..n_used].chunks_exact(cell_columns);
            let bins = row.bins[..n_used].chunks_exact(cell_columns);
            for ((cell, magnitudes), bins) in cells.chunks_exact_mut(n_bins).zip(columns).zip(bins) {
                for (magnitude, bin) in magnitudes.iter().zip(bins) {
                    cell[*bin as usize] += magnitude;
                }
            }
        }
        cells.iter_mut().for_each(|sum| *sum *= scale);
    }
    histograms
}

/// Cosine and sine of the angles between two bins.
fn boundaries(n_bins: usize) -> Vec<[f32; 2]> {
    let angle = |bin: usize| (180.0 / n_bins as f64 * bin as f64).to_radians();
    (1..n_bins).map(|bin| [angle(bin).cos() as f32, angle(bin).sin() as f32]).collect()
}

/// Gradients of one row of pixels.
struct GradientRow {
    across: Vec<i16>,
    down: Vec<i16>,
    magnitudes: Vec<f32>,
    bins: Vec<u32>,
    turned: [Vec<f32>; 2],
}

impl GradientRow {
    fn new(width: usize) -> Self {
        let zeros = || vec![0.0; width];
        Self {
            across: vec![0; width],
            down: vec![0; width],
            magnitudes: zeros(),
            bins: vec![0; width],
            turned: [zeros(), zeros()],
        }
    }

    /// Central differences, not halved; 0 across the border.
    #[inline(always)]
    fn fill(&mut self, pixels: Pixels, y: usize) {
        let Pixels { values, width, height, colour } = pixels;
        let n_channels = colour.n_channels();
        let row = |y: usize| &values[y * width * n_channels..(y + 1) * width * n_channels];
        // On the border a row minus itself.
        let (above, below) = if y == 0 || y + 1 == height { (row(y), row(y)) } else { (row(y - 1), row(y + 1)) };
        let (left, right) = (row(y), row(y).get(2 * n_channels..).unwrap_or_default());
        match colour {
            Colour::Grey => {
                for ((to, a), b) in self.down.iter_mut().zip(above).zip(below) {
                    *to = i16::from(*b) - i16::from(*a);
                }
                for ((to, a), b) in self.across.iter_mut().skip(1).zip(left).zip(right) {
                    *to = i16::from(*b) - i16::from(*a);
                }
            }
            Colour::Rgb => {
                let difference = |a: &[u8], b: &[u8], channel: usize| i16::from(b[channel]) - i16::from(a[channel]);
                let all_down = above.chunks_exact(3).zip(below.chunks_exact(3));
                for (x, (above, below)) in all_down.enumerate() {
                    let inside = x > 0 && x + 1 < width;
                    let mut largest = -1;
                    for channel in 0..3 {
                        let across = if inside {
                            let [left, right] = [(x - 1) * 3, (x - 1) * 3].map(|at| at + channel);
                            i16::from(row(y)[right + 6]) - i16::from(row(y)[left])
                        } else {
                            0
                        };
                        let down = difference(above, below, channel);
                        let squared = i32::from(across).pow(2) + i32::from(down).pow(2);
                        // The first of equals, as `argmax` has it.
                        if squared > largest {
                            (largest, self.across[x], self.down[x]) = (squared, across, down);
                        }
                    }
                }
            }
        }
    }

    /// Magnitudes, and the bin of each orientation: how many boundaries it has passed on its way from 0 to 180 degrees.
    #[inline(always)]
    fn sort(&mut self, boundaries: &[[f32; 2]]) {
        let Self { across, down, magnitudes, bins, turned: [xs, ys] } = self;
        for ((((across, down), magnitude), x), y) in
            across.iter().zip(down.iter()).zip(magnitudes.iter_mut()).zip(xs.iter_mut()).zip(ys.iter_mut())
        {
            let (across, down) = (i32::from(*across), i32::from(*down));
            // Opposite gradients are one orientation: those that point up, or left along the row, are turned round.
            let turn = (down * 1024 + across) >> 31;
            (*x, *y) = (((across ^ turn) - turn) as f32, ((down ^ turn) - turn) as f32);
            *magnitude = (*x * *x + *y * *y).sqrt();
        }
        bins.fill(0);
        for &[cos, sin] in boundaries {
            for ((bin, x), y) in bins.iter_mut().zip(xs.iter()).zip(ys.iter()) {
                // Left of the boundary's direction or on it. No other ratio of two differences of 8-bit values lies
                // nearer to a boundary than 32-bit floats can tell, and at 45 degrees both products are one number.
                *bin += u32::from(*y * cos >= *x * sin);
            }
        }
    }
}

#[inline(always)]
fn blocks(histograms: &[f32], options: &HogOptions, grid: Grid, n_features: usize) -> Vec<f32> {
    let [block_rows, block_columns] = options.cells_per_block;
    let n_bins = options.orientations;
    let (cell_row, block_row) = (grid.cells[1] * n_bins, block_columns * n_bins);
    let mut descriptor = vec![0.0; n_features];
    for (place, block) in descriptor.chunks_exact_mut(block_rows * block_row).enumerate() {
        let (row, column) = (place / grid.blocks[1], place % grid.blocks[1]);
        for (to, from) in block.chunks_exact_mut(block_row).zip(histograms.chunks_exact(cell_row).skip(row)) {
            to.copy_from_slice(&from[column * n_bins..][..block_row]);
        }
        normalise(block, options.block_norm);
    }
    descriptor
}

#[inline(always)]
fn normalise(block: &mut [f32], norm: BlockNorm) {
    match norm {
        BlockNorm::L1 => scale(block, 1.0 / (sum(block, |v| v) + EPSILON)),
        BlockNorm::L1Sqrt => {
            scale(block, 1.0 / (sum(block, |v| v) + EPSILON));
            block.iter_mut().for_each(|v| *v = v.sqrt());
        }
        BlockNorm::L2 => scale(block, 1.0 / (sum(block, |v| v * v) + EPSILON * EPSILON).sqrt()),
        BlockNorm::L2Hys => {
            scale(block, 1.0 / (sum(block, |v| v * v) + EPSILON * EPSILON).sqrt());
            block.iter_mut().for_each(|v| *v = v.min(HYSTERESIS));
            scale(block, 1.0 / (sum(block, |v| v * v) + EPSILON * EPSILON).sqrt());
        }
    }
}

/// In eight partial sums, so that a register of eight takes them at once.
#[inline(always)]
fn sum(block: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut partial = [0.0; 8];
    let eights = block.chunks_exact(8);
    let rest = eights.remainder().iter().map(|&v| of(v)).sum::<f32>();
    for eight in eights {
        for (sum, v) in partial.iter_mut().zip(eight) {
            *sum += of(*v);
        }
    }
    partial.iter().sum::<f32>() + rest
}

#[inline(always)]
fn scale(block: &mut [f32], by: f32) {
    block.iter_mut().for_each(|v| *v *= by);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gradient_of_8_bit_pixels_falls_into_the_bin_that_its_angle_says() {
        for n_bins in [1, 2, 3, 4, 6, 7, 8, 9, 12, 16, 18, 36] {
            let boundaries = boundaries(n_bins);
            for down in -255i16..=255 {
                let mut row = GradientRow::new(511);
                row.across = (-255..=255).collect();
                row.down = vec![down; 511];
                row.sort(&boundaries);
                for (across, bin) in row.across.iter().zip(&row.bins).filter(|(across, _)| **across != 0 || down != 0) {
                    let degrees = f64::from(down).atan2(f64::from(*across)).to_degrees().rem_euclid(180.0);
                    let width = (180.0 / n_bins as f64) as f32;
                    let expected = (1..n_bins).filter(|b| degrees >= f64::from(width * *b as f32)).count();
                    assert_eq!(*bin as usize, expected, "({across}, {down}) of {n_bins} bins");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_described_is_said() {
        let message = |width, height, options: HogOptions| {
            options.n_features(width, height).err().map(|e| e.to_string()).unwrap_or_default()
        };
        let options = HogOptions::default();
        assert_eq!(message(15, 64, options), "HOG: a picture of 15x64 is smaller than one block of 16x16");
        assert_eq!(
            message(64, 64, HogOptions { orientations: 0, ..options }),
            "HOG: orientations = 0 is outside 1 to 180"
        );
        let wild = HogOptions { pixels_per_cell: [1, 1], cells_per_block: [32, 32], ..options };
        assert!(message(512, 512, wild).contains("more than 16777216 numbers"));
        let short = Pixels { values: &[0; 255], width: 16, height: 16, colour: Colour::Grey };
        assert!(hog(short, &options).is_err_and(|e| e.to_string().contains("255 bytes are no picture of 16x16")));
    }

    #[test]
    fn a_flat_picture_is_all_zero_and_not_nan() -> Result<(), LearnError> {
        for block_norm in [BlockNorm::L1, BlockNorm::L1Sqrt, BlockNorm::L2, BlockNorm::L2Hys] {
            let flat = Pixels { values: &[77; 48 * 48 * 3], width: 48, height: 48, colour: Colour::Rgb };
            let found = hog(flat, &HogOptions { block_norm, ..HogOptions::default() })?;
            assert!(found.iter().all(|v| *v == 0.0));
        }
        Ok(())
    }

    #[test]
    fn a_grey_picture_in_three_equal_channels_has_the_grey_descriptor() -> Result<(), LearnError> {
        let grey: Vec<u8> = (0..40 * 33).map(|i| (i * i % 251) as u8).collect();
        let rgb: Vec<u8> = grey.iter().flat_map(|v| [*v; 3]).collect();
        let pixels = |values, colour| Pixels { values, width: 40, height: 33, colour };
        let options = HogOptions::default();
        assert_eq!(hog(pixels(&grey, Colour::Grey), &options)?, hog(pixels(&rgb, Colour::Rgb), &options)?);
        Ok(())
    }
}
