//! How is a 3x3 convolution of stride 1 computed with fewer than half of its multiplications?
//!
//! F(2x2, 3x3) of Lavin and Gray (2016): an input tile of 4x4 and a kernel are each brought to 16 values, in which the
//! convolution is a product; so 16 small matrix products over the channels take the place of 36. The inverse brings four
//! outputs back. Each transform's adjoint is its gradient, so the weights' gradient goes the same way back. Rounding
//! errors are those of a plain sum within a factor of two or so; the 4x4 output tiles that others use lose more.
//!
//! Tiles of a few pictures, or of some tile rows of one, are a block; blocks go to threads, nothing depends on which.

use std::ops::Range;

use rayon::prelude::*;

use super::convolution::{Finish, Sizes, sum_of_parts};
use super::matrix::{Layout, Place, multiply};

/// Values that a tile and a kernel are brought to.
const N_POINTS: usize = 16;

/// Whether this way exists for a convolution and is the faster one: with few channels the transforms cost what the
/// products save.
pub(super) fn suits(sizes: Sizes) -> bool {
    let is_shape = sizes.kernel == 3 && sizes.stride == 1 && sizes.padding == 1;
    is_shape && sizes.from >= 16 && sizes.to >= 16 && sizes.height >= 4 && sizes.width >= 4
}

/// Some tile rows of some pictures.
#[derive(Debug, Clone)]
struct Block {
    n_pictures: usize,
    rows: Range<usize>,
    columns: usize,
}

impl Block {
    fn n_tiles(&self) -> usize {
        self.n_pictures * self.rows.len() * self.columns
    }
}

/// How a batch is cut: pictures of a block, and tile rows of one where a picture is more than a block.
#[derive(Debug, Clone, Copy)]
struct Cut {
    n_pictures: usize,
    n_rows: usize,
    all_rows: usize,
    columns: usize,
}

impl Cut {
    /// Transformed values of a block and their products fit a core's cache, but matrices stay wide enough.
    fn new(sizes: Sizes) -> Self {
        let (all_rows, columns) = (sizes.height.div_ceil(2), sizes.width.div_ceil(2));
        let wanted = (8192 / (sizes.from + sizes.to)).clamp(96, 192);
        let picture = all_rows * columns;
        let n_pieces = (picture + wanted / 2) / wanted;
        if n_pieces > 1 {
            return Self { n_pictures: 1, n_rows: all_rows.div_ceil(n_pieces), all_rows, columns };
        }
        let n_pictures = ((wanted + picture / 2) / picture).max(1);
        Self { n_pictures, n_rows: all_rows, all_rows, columns }
    }

    fn blocks(self, n_pictures: usize) -> impl Iterator<Item = Block> {
        let rows = |first: usize| first..(first + self.n_rows).min(self.all_rows);
        (0..self.all_rows).step_by(self.n_rows).map(move |first| Block {
            n_pictures,
            rows: rows(first),
            columns: self.columns,
        })
    }
}

/// Memory of one thread.
#[derive(Default)]
struct Scratch {
    tiles: Vec<f32>,
    products: Vec<f32>,
    lines: Lines,
}

/// Rows of tiles on their way: four mixed rows, each as its even and its odd columns.
#[derive(Default)]
struct Lines {
    mixed: Vec<f32>,
    even: Vec<f32>,
    odd: Vec<f32>,
}

/// As [`super::convolution::convolve`], for sizes that [`suits`] names.
pub(super) fn convolve(input: &[f32], weight: &[f32], finish: Finish<'_>, sizes: Sizes) -> Vec<f32> {
    let kernels = kernels_to_points(weight, sizes);
    let cut = Cut::new(sizes);
    let plane = sizes.height * sizes.width;
    let mut output = vec![0.0; sizes.batch * sizes.to * plane];
    output
        .par_chunks_mut(cut.n_pictures * sizes.to * plane)
        .zip(input.par_chunks(cut.n_pictures * sizes.from * plane))
        .for_each_init(Scratch::default, |scratch, (output, input)| {
            for block in cut.blocks(input.len() / (sizes.from * plane)) {
                let n_tiles = block.n_tiles();
                let Scratch { tiles, products, lines } = scratch;
                tiles.resize(N_POINTS * sizes.from * n_tiles, 0.0);
                products.resize(N_POINTS * sizes.to * n_tiles, 0.0);
                wide(|| pictures_to_points(input, sizes.from, sizes, &block, lines, tiles));
                for (point, (out, tiles)) in products
                    .chunks_exact_mut(sizes.to * n_tiles)
                    .zip(tiles.chunks_exact(sizes.from * n_tiles))
                    .enumerate()
                {
                    let kernels =
                        (&kernels[point * sizes.from..], Layout::strided(sizes.to, sizes.from, N_POINTS * sizes.from));
                    let tiles = (tiles, Layout::dense(sizes.from, n_tiles));
                    multiply((out, Layout::dense(sizes.to, n_tiles)), Place::Overwritten, kernels, tiles);
                }
                wide(|| points_to_pictures(products, finish, sizes, &block, lines, output));
            }
        });
    output
}

/// As [`super::convolution::weight_gradient`], for sizes that [`suits`] names.
pub(super) fn weight_gradient(input: &[f32], gradient: &[f32], sizes: Sizes) -> Vec<f32> {
    let cut = Cut::new(sizes);
    let plane = sizes.height * sizes.width;
    let (from_picture, to_picture) = (sizes.from * plane, sizes.to * plane);
    let sum = sum_of_parts(
        (input, cut.n_pictures * from_picture),
        (gradient, cut.n_pictures * to_picture),
        N_POINTS * sizes.to * sizes.from,
        Scratch::default,
        |scratch, (input, gradient), sum| {
            for block in cut.blocks(input.len() / from_picture) {
                let n_tiles = block.n_tiles();
                let Scratch { tiles, products, lines } = scratch;
                tiles.resize(N_POINTS * sizes.from * n_tiles, 0.0);
                products.resize(N_POINTS * sizes.to * n_tiles, 0.0);
                wide(|| {
                    pictures_to_points(input, sizes.from, sizes, &block, lines, tiles);
                    gradients_to_points(gradient, sizes, &block, lines, products);
                });
                for (point, sum) in sum.chunks_exact_mut(sizes.to * sizes.from).enumerate() {
                    let left = &products[point * sizes.to * n_tiles..];
                    let right = &tiles[point * sizes.from * n_tiles..];
                    multiply(
                        (sum, Layout::dense(sizes.to, sizes.from)),
                        Place::AddedTo,
                        (left, Layout::dense(sizes.to, n_tiles)),
                        (right, Layout::dense(sizes.from, n_tiles).transposed()),
                    );
                }
            }
        },
    );
    points_to_kernels(&sum, sizes)
}

/// Runs `work` compiled for the widest registers there are; what it calls has to be `#[inline(always)]`. Values are
/// added and subtracted one by one, so that the width changes no bit.
#[inline]
fn wide(work: impl FnOnce()) {
    pulp::Arch::new().dispatch(work);
}

/// `G g G'` of every kernel: `[to, points, from]`, so that a point's kernels are a strided matrix `[to, from]`.
fn kernels_to_points(weight: &[f32], sizes: Sizes) -> Vec<f32> {
    let from = sizes.from;
    let mut points = vec![0.0; sizes.to * N_POINTS * from];
    points.par_chunks_mut(N_POINTS * from).zip(weight.par_chunks(9 * from)).with_min_len(8).for_each(
        |(points, kernels)| {
            let (kernels, _) = kernels.as_chunks::<9>();
            for (channel, g) in kernels.iter().enumerate() {
                let column = |c: usize| spread([g[c], g[3 + c], g[6 + c]]);
                let columns = [column(0), column(1), column(2)];
                for down in 0..4 {
                    let row = spread([columns[0][down], columns[1][down], columns[2][down]]);
                    for (right, value) in row.into_iter().enumerate() {
                        points[(down * 4 + right) * from + channel] = value;
                    }
                }
            }
        },
    );
    points
}

/// `G` times three values.
#[inline(always)]
fn spread([a, b, c]: [f32; 3]) -> [f32; 4] {
    [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
}

/// `G'` times four values.
#[inline(always)]
fn gathered([a, b, c, d]: [f32; 4]) -> [f32; 3] {
    [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d]
}

/// The adjoint of [`kernels_to_points`], from `[points, to, from]`.
fn points_to_kernels(points: &[f32], sizes: Sizes) -> Vec<f32> {
    let n_kernels = sizes.to * sizes.from;
    let mut weight = vec![0.0; 9 * n_kernels];
    let (kernels, _) = weight.as_chunks_mut::<9>();
    kernels.par_iter_mut().with_min_len(256).enumerate().for_each(|(kernel, out)| {
        let point = |down: usize, right: usize| points[(down * 4 + right) * n_kernels + kernel];
        let column = |right: usize| gathered([point(0, right), point(1, right), point(2, right), point(3, right)]);
        let columns = [column(0), column(1), column(2), column(3)];
        for down in 0..3 {
            let row = gathered([columns[0][down], columns[1][down], columns[2][down], columns[3][down]]);
            out[down * 3..][..3].copy_from_slice(&row);
        }
    });
    weight
}

/// `B' d B` of every tile: `[points, channels, tiles]`.
#[inline(always)]
fn pictures_to_points(
    input: &[f32],
    channels: usize,
    sizes: Sizes,
    block: &Block,
    lines: &mut Lines,
    points: &mut [f32],
) {
    let Sizes { height, width, .. } = sizes;
    let columns = block.columns;
    let n_tiles = block.n_tiles();
    let n_halves = columns + 1;
    let Lines { mixed, even, odd } = lines;
    mixed.clear();
    // One column of padding before the first, and as many behind as whole tiles need.
    mixed.resize(2 * n_halves, 0.0);
    even.resize(n_halves, 0.0);
    odd.resize(n_halves, 0.0);
    for (plane_idx, plane) in input.chunks_exact(height * width).enumerate() {
        let (picture, channel) = (plane_idx / channels, plane_idx % channels);
        for (row_idx, tile_row) in block.rows.clone().enumerate() {
            let first = (picture * block.rows.len() + row_idx) * columns;
            let row = |down: usize| {
                (2 * tile_row + down).checked_sub(1).filter(|row| *row < height).map(|row| &plane[row * width..][..width])
            };
            let rows = [row(0), row(1), row(2), row(3)];
            for down in 0..4 {
                let inside = &mut mixed[1..=width];
                match down {
                    0 => difference(rows[0], rows[2], inside),
                    1 => sum(rows[1], rows[2], inside),
                    2 => difference(rows[2], rows[1], inside),
                    _ => difference(rows[1], rows[3], inside),
                }
                let (pairs, _) = mixed.as_chunks::<2>();
                for ((even, odd), pair) in even.iter_mut().zip(odd.iter_mut()).zip(pairs) {
                    [*even, *odd] = *pair;
                }
                let mut at = |right: usize| ((down * 4 + right) * channels + channel) * n_tiles + first;
                let (e0, e1, o0, o1) = (&even[..columns], &even[1..], &odd[..columns], &odd[1..]);
                difference(Some(e0), Some(e1), &mut points[at(0)..][..columns]);
                sum(Some(o0), Some(e1), &mut points[at(1)..][..columns]);
                difference(Some(e1), Some(o0), &mut points[at(2)..][..columns]);
                difference(Some(o0), Some(o1), &mut points[at(3)..][..columns]);
            }
        }
    }
}

/// `A g A'` of every tile of the output's gradient, the adjoint of [`points_to_pictures`]: `[points, to, tiles]`.
#[inline(always)]
fn gradients_to_points(gradient: &[f32], sizes: Sizes, block: &Block, lines: &mut Lines, points: &mut [f32]) {
    let Sizes { height, width, to, .. } = sizes;
    let columns = block.columns;
    let n_tiles = block.n_tiles();
    let Lines { mixed, even, odd } = lines;
    mixed.clear();
    mixed.resize(2 * columns, 0.0);
    even.resize(columns, 0.0);
    odd.resize(columns, 0.0);
    for (plane_idx, plane) in gradient.chunks_exact(height * width).enumerate() {
        let (picture, channel) = (plane_idx / to, plane_idx % to);
        for (row_idx, tile_row) in block.rows.clone().enumerate() {
            let first = (picture * block.rows.len() + row_idx) * columns;
            let row = |down: usize| {
                Some(2 * tile_row + down).filter(|row| *row < height).map(|row| &plane[row * width..][..width])
            };
            let rows = [row(0), row(1)];
            for down in 0..4 {
                let inside = &mut mixed[..width];
                match down {
                    0 => difference(rows[0], None, inside),
                    1 => sum(rows[0], rows[1], inside),
                    2 => difference(rows[0], rows[1], inside),
                    _ => difference(None, rows[1], inside),
                }
                let (pairs, _) = mixed.as_chunks::<2>();
                for ((even, odd), pair) in even.iter_mut().zip(odd.iter_mut()).zip(pairs) {
                    [*even, *odd] = *pair;
                }
                let mut at = |right: usize| ((down * 4 + right) * to + channel) * n_tiles + first;
                points[at(0)..][..columns].copy_from_slice(even);
                sum(Some(even), Some(odd), &mut points[at(1)..][..columns]);
                difference(Some(even), Some(odd), &mut points[at(2)..][..columns]);
                difference(None, Some(odd), &mut points[at(3)..][..columns]);
            }
        }
    }
}

/// `A' m A` of every tile's products `[points, to, tiles]`, finished, into the block's rows of the output.
#[inline(always)]
fn points_to_pictures(
    points: &[f32],
    finish: Finish<'_>,
    sizes: Sizes,
    block: &Block,
    lines: &mut Lines,
    output: &mut [f32],
) {
    let Sizes { height, width, to, .. } = sizes;
    let columns = block.columns;
    let n_tiles = block.n_tiles();
    let Lines { mixed, even, odd } = lines;
    mixed.clear();
    mixed.resize(4 * columns, 0.0);
    even.resize(columns, 0.0);
    odd.resize(columns, 0.0);
    for (plane_idx, plane) in output.chunks_exact_mut(height * width).enumerate() {
        let (picture, channel) = (plane_idx / to, plane_idx % to);
        let bias = match finish {
            Finish::Plain => None,
            Finish::BiasRelu(bias) => Some(bias[channel]),
        };
        for (row_idx, tile_row) in block.rows.clone().enumerate() {
            let first = (picture * block.rows.len() + row_idx) * columns;
            let point = |down: usize, right: usize| {
                &points[((down * 4 + right) * to + channel) * n_tiles + first..][..columns]
            };
            for down in 0..2.min(height - 2 * tile_row) {
                for (right, mixed) in mixed.chunks_exact_mut(columns).enumerate() {
                    let (a, b, c) = (point(down, right), point(1, right), point(2 + down, right));
                    if down == 0 {
                        three(a, b, c, |a, b, c| a + b + c, mixed);
                    } else {
                        three(a, point(2, right), c, |a, b, c| a - b - c, mixed);
                    }
                }
                let (m0, rest) = mixed.split_at(columns);
                let (m1, rest) = rest.split_at(columns);
                let (m2, m3) = rest.split_at(columns);
                three(m0, m1, m2, |a, b, c| a + b + c, even);
                three(m1, m2, m3, |a, b, c| a - b - c, odd);
                if let Some(bias) = bias {
                    for value in even.iter_mut().chain(odd.iter_mut()) {
                        *value = (*value + bias).max(0.0);
                    }
                }
                let row = &mut plane[(2 * tile_row + down) * width..][..width];
                let (pairs, last) = row.as_chunks_mut::<2>();
                for (pair, (even, odd)) in pairs.iter_mut().zip(even.iter().zip(odd.iter())) {
                    *pair = [*even, *odd];
                }
                if let (Some(last), Some(even)) = (last.first_mut(), even.last()) {
                    *last = *even;
                }
            }
        }
    }
}

/// `a + b`, what is missing being 0.
#[inline(always)]
fn sum(a: Option<&[f32]>, b: Option<&[f32]>, out: &mut [f32]) {
    match (a, b) {
        (Some(a), Some(b)) => out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = a + b),
        (Some(a), None) | (None, Some(a)) => out.copy_from_slice(a),
        (None, None) => out.fill(0.0),
    }
}

/// `a - b`, what is missing being 0.
#[inline(always)]
fn difference(a: Option<&[f32]>, b: Option<&[f32]>, out: &mut [f32]) {
    match (a, b) {
        (Some(a), Some(b)) => out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = a - b),
        (Some(a), None) => out.copy_from_slice(a),
        (None, Some(b)) => out.iter_mut().zip(b).for_each(|(out, b)| *out = -b),
        (None, None) => out.fill(0.0),
    }
}

#[inline(always)]
fn three(a: &[f32], b: &[f32], c: &[f32], figure: impl Fn(f32, f32, f32) -> f32, out: &mut [f32]) {
    for ((out, a), (b, c)) in out.iter_mut().zip(a).zip(b.iter().zip(c)) {
        *out = figure(*a, *b, *c);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::convolution::{plain_convolve, plain_weight_gradient, tests::numbers};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// One picture in many blocks, many pictures in one, odd edges on either side.
        #[test]
        fn fewer_multiplications_give_the_same_convolution_and_gradient(
            batch in 1usize..6, from in 16usize..20, to in 16usize..35, height in 4usize..40, width in 4usize..40,
            seed in 1u32..1000, is_finished in any::<bool>(),
        ) {
            let sizes = Sizes { batch, from, to, kernel: 3, stride: 1, padding: 1, height, width };
            prop_assert!(suits(sizes));
            let input = numbers(batch * from * height * width, seed);
            let weight = numbers(to * from * 9, seed + 1);
            let gradient = numbers(batch * to * height * width, seed + 2);
            let bias = numbers(to, seed + 3);
            let finish = if is_finished { Finish::BiasRelu(&bias) } else { Finish::Plain };
            let n_terms = (9 * from) as f32;
            let expected = plain_convolve(&input, &weight, finish, sizes);
            for (found, expected) in convolve(&input, &weight, finish, sizes).iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-6 * n_terms, "{found} {expected}");
            }
            let n_places = (batch * height * width) as f32;
            let expected = plain_weight_gradient(&input, &gradient, sizes);
            for (found, expected) in weight_gradient(&input, &gradient, sizes).iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-6 * n_places.max(30.0), "{found} {expected}");
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let sizes = Sizes { batch: 37, from: 17, to: 18, kernel: 3, stride: 1, padding: 1, height: 7, width: 9 };
        let (input, gradient) = (numbers(37 * 17 * 63, 1), numbers(37 * 18 * 63, 2));
        let on = |n: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| weight_gradient(&input, &gradient, sizes))
        };
        assert_eq!(on(1), on(5));
    }
}
