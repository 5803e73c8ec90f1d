//! How is a tile brought to its points and back, a register of channels at a time?

use pulp::{Simd, WithSimd};

use super::Block;

/// A transform of the tiles of one picture, a register of channels at a time.
pub(super) struct Transform<'a, F, T> {
    pub(super) block: &'a Block,
    /// Padded.
    pub(super) channels: usize,
    /// The picture's first tile in the block.
    pub(super) first_tile: usize,
    pub(super) from: F,
    pub(super) to: T,
}

/// `[2 rows + 2, 2 columns + 2, channels]`.
pub(super) struct Inputs<'a>(pub(super) &'a [f32]);

/// `[2 rows, 2 columns, channels]`.
pub(super) struct Gradients<'a>(pub(super) &'a [f32]);

/// `[points, tiles, channels]`.
pub(super) struct Products<'a> {
    pub(super) points: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
}

/// Row and column of every tile of a picture, with its number in the block.
#[inline(always)]
fn tiles(block: &Block, first: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let columns = block.columns;
    (0..block.rows.len())
        .flat_map(move |row| (0..columns).map(move |column| (row, column, first + row * columns + column)))
}

impl WithSimd for Transform<'_, Inputs<'_>, &mut Vec<f32>> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.channels / S::F32_LANES;
        let (laid, points) = (S::as_simd_f32s(self.from.0).0, S::as_mut_simd_f32s(self.to).0);
        let line = (2 * self.block.columns + 2) * width;
        let point = self.block.n_tiles() * width;
        for (row, column, tile) in tiles(self.block, self.first_tile) {
            let corner = &laid[2 * row * line + 2 * column * width..][..3 * line + 4 * width];
            let out = &mut points[tile * width..][..15 * point + width];
            for place in 0..width {
                let mixed: [[S::f32s; 4]; 4] = std::array::from_fn(|right| {
                    let d: [S::f32s; 4] = std::array::from_fn(|down| corner[down * line + right * width + place]);
                    turned(simd, d)
                });
                for down in 0..4 {
                    let row = turned(simd, std::array::from_fn(|right| mixed[right][down]));
                    for (right, value) in row.into_iter().enumerate() {
                        out[(down * 4 + right) * point + place] = value;
                    }
                }
            }
        }
    }
}

/// `B'` times four values.
#[inline(always)]
fn turned<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

impl WithSimd for Transform<'_, Gradients<'_>, &mut Vec<f32>> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.channels / S::F32_LANES;
        let (laid, points) = (S::as_simd_f32s(self.from.0).0, S::as_mut_simd_f32s(self.to).0);
        let line = 2 * self.block.columns * width;
        let point = self.block.n_tiles() * width;
        for (row, column, tile) in tiles(self.block, self.first_tile) {
            let corner = &laid[2 * row * line + 2 * column * width..][..line + 2 * width];
            let out = &mut points[tile * width..][..15 * point + width];
            for place in 0..width {
                let mixed: [[S::f32s; 4]; 2] = std::array::from_fn(|right| {
                    doubled(simd, corner[right * width + place], corner[line + right * width + place])
                });
                for down in 0..4 {
                    let row = doubled(simd, mixed[0][down], mixed[1][down]);
                    for (right, value) in row.into_iter().enumerate() {
                        out[(down * 4 + right) * point + place] = value;
                    }
                }
            }
        }
    }
}

/// `A` times two values.
#[inline(always)]
fn doubled<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> [S::f32s; 4] {
    [a, simd.add_f32s(a, b), simd.sub_f32s(a, b), simd.neg_f32s(b)]
}

impl WithSimd for Transform<'_, Products<'_>, &mut [f32]> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.channels / S::F32_LANES;
        let (points, laid) = (S::as_simd_f32s(self.from.points).0, S::as_mut_simd_f32s(self.to).0);
        let bias = self.from.bias.map(|bias| S::as_simd_f32s(bias).0);
        let line = 2 * self.block.columns * width;
        let point = self.block.n_tiles() * width;
        let zero = simd.splat_f32s(0.0);
        for (row, column, tile) in tiles(self.block, self.first_tile) {
            let products = &points[tile * width..][..15 * point + width];
            let out = &mut laid[2 * row * line + 2 * column * width..][..line + 2 * width];
            for place in 0..width {
                let mixed: [[S::f32s; 2]; 4] = std::array::from_fn(|right| {
                    halved(simd, std::array::from_fn(|down| products[(down * 4 + right) * point + place]))
                });
                for down in 0..2 {
                    let row = halved(simd, std::array::from_fn(|right| mixed[right][down]));
                    for (right, value) in row.into_iter().enumerate() {
                        out[down * line + right * width + place] = match bias {
                            Some(bias) => simd.max_f32s(simd.add_f32s(value, bias[place]), zero),
                            None => value,
                        };
                    }
                }
            }
        }
    }
}

/// `A'` times four values.
#[inline(always)]
fn halved<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}
