//! How do the channels of a picture come to lie side by side, and go back?

use std::ops::Range;

use super::Sizes;

/// Values of rows of a picture, channels innermost.
#[derive(Default)]
pub(super) struct Laid {
    values: Vec<f32>,
    rows: Range<usize>,
}

impl Laid {
    /// Room for rows of a picture; 0 where the picture is not, because what lay there before had the same rows.
    pub(super) fn room_for(&mut self, rows: &Range<usize>, n_values: usize) -> &mut [f32] {
        if self.rows != *rows || self.values.len() != n_values {
            self.values.clear();
            self.values.resize(n_values, 0.0);
            self.rows = rows.clone();
        }
        &mut self.values
    }
}

/// Channels and places are exchanged in squares of this side.
const SQUARE: usize = 8;

/// Rows of a picture in memory whose channels lie innermost, `[rows, columns, channels]`: the picture's `first_row` is
/// moved down and right by `margin`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) first_row: usize,
    pub(super) margin: usize,
    pub(super) columns: usize,
    pub(super) channels: usize,
}

impl Frame {
    /// The picture's rows that a frame of `n_values` holds.
    fn rows(self, n_values: usize, height: usize) -> Range<usize> {
        let n_rows = n_values / (self.columns * self.channels);
        self.first_row.saturating_sub(self.margin)..(self.first_row + n_rows - self.margin).min(height)
    }

    /// Where the values of the places of those rows begin, row by row.
    #[inline(always)]
    fn places(self, rows: &Range<usize>, width: usize) -> impl Iterator<Item = usize> {
        let top = rows.start + self.margin - self.first_row;
        (top..top + rows.len()).flat_map(move |row| {
            let first = row * self.columns + self.margin;
            (first..first + width).map(move |place| place * self.channels)
        })
    }
}

/// Copies the rows of a picture that the frame has room for. What lies outside the picture is not touched: it was 0.
pub(super) fn lay(planes: &[f32], sizes: Sizes, frame: Frame, laid: &mut [f32]) {
    let plane = sizes.height * sizes.width;
    let rows = frame.rows(laid.len(), sizes.height);
    let inside = rows.start * sizes.width..rows.end * sizes.width;
    for (group, planes) in planes.chunks(SQUARE * plane).enumerate() {
        let n_planes = planes.len() / plane;
        // Of the last group the missing planes repeat one that is there: they lie in the padding, which no product reads.
        let runs: [&[f32]; SQUARE] = std::array::from_fn(|n| &planes[n.min(n_planes - 1) * plane..][inside.clone()]);
        let squares = runs.map(|run| run.as_chunks::<SQUARE>());
        let mut places = frame.places(&rows, sizes.width).map(|place| place + group * SQUARE);
        for square in 0..squares[0].0.len() {
            let square: [[f32; SQUARE]; SQUARE] = std::array::from_fn(|n| squares[n].0[square]);
            for (column, place) in (0..SQUARE).zip(&mut places) {
                let values: [f32; SQUARE] = std::array::from_fn(|n| square[n][column]);
                laid[place..][..SQUARE].copy_from_slice(&values);
            }
        }
        for (column, place) in places.enumerate() {
            let values: [f32; SQUARE] = std::array::from_fn(|n| squares[n].1[column]);
            laid[place..][..SQUARE].copy_from_slice(&values);
        }
    }
}

/// Copies the rows that the frame holds to their picture.
pub(super) fn take_up(laid: &[f32], sizes: Sizes, frame: Frame, planes: &mut [f32]) {
    let plane = sizes.height * sizes.width;
    let rows = frame.rows(laid.len(), sizes.height);
    let inside = rows.start * sizes.width..rows.end * sizes.width;
    for (group, planes) in planes.chunks_mut(SQUARE * plane).enumerate() {
        let mut runs = planes.chunks_exact_mut(plane).map(|plane| plane[inside.clone()].as_chunks_mut::<SQUARE>());
        let mut runs: [(&mut [[f32; SQUARE]], &mut [f32]); SQUARE] =
            std::array::from_fn(|_| runs.next().unwrap_or_default());
        let mut places = frame.places(&rows, sizes.width).map(|place| place + group * SQUARE);
        for square_idx in 0..inside.len() / SQUARE {
            let mut square = [[0.0; SQUARE]; SQUARE];
            for (values, place) in square.iter_mut().zip(&mut places) {
                values.copy_from_slice(&laid[place..][..SQUARE]);
            }
            for (n, (squares, _)) in runs.iter_mut().enumerate() {
                if let Some(out) = squares.get_mut(square_idx) {
                    *out = std::array::from_fn(|column| square[column][n]);
                }
            }
        }
        for (column, place) in places.enumerate() {
            for ((_, rest), value) in runs.iter_mut().zip(&laid[place..][..SQUARE]) {
                if let Some(out) = rest.get_mut(column) {
                    *out = *value;
                }
            }
        }
    }
}
