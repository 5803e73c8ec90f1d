//! How is a 3x3 convolution of stride 1 computed with fewer than half of its multiplications?
//!
//! F(2x2, 3x3) of Lavin and Gray (2016): an input tile of 4x4 and a kernel are each brought to 16 values, in which the
//! convolution is a product; so 16 small matrix products over the channels take the place of 36. The inverse brings four
//! outputs back. Each transform's adjoint is its gradient, so the weights' gradient goes the same way back. Rounding
//! errors are those of a plain sum within a factor of two or so; the 4x4 output tiles that others use lose more.
//!
//! Tiles of a few pictures, or of some tile rows of one, are a block; blocks go to threads, nothing depends on which. In
//! a block channels lie innermost, padded to whole registers, so that maps of any width fill them.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::convolution::{Finish, Sizes, sum_of_parts};
use super::matrix::{Layout, Place, multiply};
use crate::wide::widened;

/// Values that a tile and a kernel are brought to.
const N_POINTS: usize = 16;

/// Channels are padded to a multiple of the widest register's floats.
const LANES: usize = 16;

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
    fn picture_tiles(&self) -> usize {
        self.rows.len() * self.columns
    }

    fn n_tiles(&self) -> usize {
        self.n_pictures * self.picture_tiles()
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
        let wanted = (8192 / (sizes.from + sizes.to)).clamp(64, 192);
        let picture = all_rows * columns;
        let n_pieces = (picture + wanted / 2) / wanted;
        if n_pieces > 1 {
            return Self { n_pictures: 1, n_rows: all_rows.div_ceil(n_pieces), all_rows, columns };
        }
        let n_pictures = ((wanted + picture / 2) / picture).max(1);
        Self { n_pictures, n_rows: all_rows, all_rows, columns }
    }

    fn blocks(self, n_pictures: usize) -> impl Iterator<Item = Block> {
        let rows = move |first: usize| first..(first + self.n_rows).min(self.all_rows);
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
    input: Laid,
    /// Of the output or its gradient.
    output: Laid,
    tiles: Vec<f32>,
    products: Vec<f32>,
}

/// Values of rows of a picture, channels innermost.
#[derive(Default)]
struct Laid {
    values: Vec<f32>,
    rows: Range<usize>,
}

impl Laid {
    /// Room for rows of a picture; 0 where the picture is not, because what lay there before had the same rows.
    fn room_for(&mut self, rows: &Range<usize>, n_values: usize) -> &mut [f32] {
        if self.rows != *rows || self.values.len() != n_values {
            self.values.clear();
            self.values.resize(n_values, 0.0);
            self.rows = rows.clone();
        }
        &mut self.values
    }
}

/// As [`super::convolution::convolve`], for sizes that [`suits`] names.
pub(super) fn convolve(input: &[f32], weight: &[f32], finish: Finish<'_>, sizes: Sizes) -> Vec<f32> {
    let kernels = kernels_to_points(weight, sizes);
    let bias: Option<Vec<f32>> = match finish {
        Finish::Plain => None,
        Finish::BiasRelu(bias) => Some(bias.iter().copied().chain([0.0; LANES]).take(padded(sizes.to)).collect()),
    };
    let cut = Cut::new(sizes);
    let plane = sizes.height * sizes.width;
    let mut output = vec![0.0; sizes.batch * sizes.to * plane];
    output
        .par_chunks_mut(cut.n_pictures * sizes.to * plane)
        .zip(input.par_chunks(cut.n_pictures * sizes.from * plane))
        .for_each_init(Scratch::default, |scratch, (output, input)| {
            for block in cut.blocks(input.len() / (sizes.from * plane)) {
                let Scratch { input: laid, output: laid_output, tiles, products } = scratch;
                inputs_to_points(input, sizes, &block, laid, tiles);
                products.resize(N_POINTS * padded(sizes.to) * block.n_tiles(), 0.0);
                for point in 0..N_POINTS {
                    let (from, to) = (padded(sizes.from), padded(sizes.to));
                    let n_tiles = block.n_tiles();
                    multiply(
                        (&mut products[point * n_tiles * to..], Layout::strided(n_tiles, sizes.to, to)),
                        Place::Overwritten,
                        (&tiles[point * n_tiles * from..], Layout::strided(n_tiles, sizes.from, from)),
                        (&kernels[point * sizes.to..], Layout::strided(sizes.from, sizes.to, N_POINTS * sizes.to)),
                    );
                }
                points_to_outputs(products, bias.as_deref(), sizes, &block, laid_output, output);
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
                let Scratch { input: laid, output: laid_output, tiles, products } = scratch;
                inputs_to_points(input, sizes, &block, laid, tiles);
                gradients_to_points(gradient, sizes, &block, laid_output, products);
                for (point, sum) in sum.chunks_exact_mut(sizes.from * sizes.to).enumerate() {
                    let (from, to) = (padded(sizes.from), padded(sizes.to));
                    let n_tiles = block.n_tiles();
                    let tiles = Layout::strided(n_tiles, sizes.from, from);
                    multiply(
                        (sum, Layout::dense(sizes.from, sizes.to)),
                        Place::AddedTo,
                        (&scratch.tiles[point * n_tiles * from..], tiles.transposed()),
                        (&scratch.products[point * n_tiles * to..], Layout::strided(n_tiles, sizes.to, to)),
                    );
                }
            }
        },
    );
    points_to_kernels(&sum, sizes)
}

fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// `G g G'` of every kernel: `[from, points, to]`, so that a point's kernels are a strided matrix `[from, to]`.
fn kernels_to_points(weight: &[f32], sizes: Sizes) -> Vec<f32> {
    let Sizes { from, to, .. } = sizes;
    let (kernels, _) = weight.as_chunks::<9>();
    let mut points = vec![0.0; from * N_POINTS * to];
    points.par_chunks_mut(N_POINTS * to).with_min_len(8).enumerate().for_each(|(channel, points)| {
        for (out_channel, g) in kernels.iter().skip(channel).step_by(from).enumerate() {
            let column = |c: usize| spread([g[c], g[3 + c], g[6 + c]]);
            let columns = [column(0), column(1), column(2)];
            for down in 0..4 {
                let row = spread([columns[0][down], columns[1][down], columns[2][down]]);
                for (right, value) in row.into_iter().enumerate() {
                    points[(down * 4 + right) * to + out_channel] = value;
                }
            }
        }
    });
    points
}

/// `G` times three values.
fn spread([a, b, c]: [f32; 3]) -> [f32; 4] {
    [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
}

/// `G'` times four values.
fn gathered([a, b, c, d]: [f32; 4]) -> [f32; 3] {
    [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d]
}

/// The adjoint of [`kernels_to_points`], from `[points, from, to]`.
fn points_to_kernels(points: &[f32], sizes: Sizes) -> Vec<f32> {
    let Sizes { from, to, .. } = sizes;
    let mut weight = vec![0.0; 9 * from * to];
    weight.par_chunks_mut(9 * from).with_min_len(8).enumerate().for_each(|(out_channel, weight)| {
        for (channel, out) in weight.as_chunks_mut::<9>().0.iter_mut().enumerate() {
            let point = |down: usize, right: usize| points[((down * 4 + right) * from + channel) * to + out_channel];
            let column = |right: usize| gathered([point(0, right), point(1, right), point(2, right), point(3, right)]);
            let columns = [column(0), column(1), column(2), column(3)];
            for down in 0..3 {
                let row = gathered([columns[0][down], columns[1][down], columns[2][down], columns[3][down]]);
                out[down * 3..][..3].copy_from_slice(&row);
            }
        }
    });
    weight
}

/// `B' d B` of every tile: `[points, tiles, from]`.
fn inputs_to_points(input: &[f32], sizes: Sizes, block: &Block, laid: &mut Laid, points: &mut Vec<f32>) {
    let channels = padded(sizes.from);
    points.resize(N_POINTS * block.n_tiles() * channels, 0.0);
    let (rows, columns) = (2 * block.rows.len() + 2, 2 * block.columns + 2);
    let laid = laid.room_for(&block.rows, rows * columns * channels);
    for (picture, planes) in input.chunks_exact(sizes.from * sizes.height * sizes.width).enumerate() {
        lay(planes, sizes, Frame { first_row: 2 * block.rows.start, margin: 1, columns, channels }, laid);
        let first_tile = picture * block.picture_tiles();
        widened(Transform { block, channels, first_tile, from: Inputs(laid), to: &mut *points });
    }
}

/// `A g A'` of every tile of the output's gradient, the adjoint of [`points_to_outputs`]: `[points, tiles, to]`.
fn gradients_to_points(gradient: &[f32], sizes: Sizes, block: &Block, laid: &mut Laid, points: &mut Vec<f32>) {
    let channels = padded(sizes.to);
    points.resize(N_POINTS * block.n_tiles() * channels, 0.0);
    let (rows, columns) = (2 * block.rows.len(), 2 * block.columns);
    let laid = laid.room_for(&block.rows, rows * columns * channels);
    for (picture, planes) in gradient.chunks_exact(sizes.to * sizes.height * sizes.width).enumerate() {
        lay(planes, sizes, Frame { first_row: 2 * block.rows.start, margin: 0, columns, channels }, laid);
        let first_tile = picture * block.picture_tiles();
        widened(Transform { block, channels, first_tile, from: Gradients(laid), to: &mut *points });
    }
}

/// `A' m A` of every tile's products `[points, tiles, to]`, with a bias and ReLU if there is one, into the block's rows of
/// the output.
fn points_to_outputs(
    points: &[f32],
    bias: Option<&[f32]>,
    sizes: Sizes,
    block: &Block,
    laid: &mut Laid,
    output: &mut [f32],
) {
    let channels = padded(sizes.to);
    let columns = 2 * block.columns;
    let laid = laid.room_for(&block.rows, 2 * block.rows.len() * columns * channels);
    for (picture, planes) in output.chunks_exact_mut(sizes.to * sizes.height * sizes.width).enumerate() {
        let first_tile = picture * block.picture_tiles();
        let from = Products { points, bias };
        widened(Transform { block, channels, first_tile, from, to: &mut *laid });
        take_up(laid, sizes, Frame { first_row: 2 * block.rows.start, margin: 0, columns, channels }, planes);
    }
}

/// Channels and places are exchanged in squares of this side.
const SQUARE: usize = 8;

/// Rows of a picture in memory whose channels lie innermost, `[rows, columns, channels]`: the picture's `first_row` is
/// moved down and right by `margin`.
#[derive(Debug, Clone, Copy)]
struct Frame {
    first_row: usize,
    margin: usize,
    columns: usize,
    channels: usize,
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
fn lay(planes: &[f32], sizes: Sizes, frame: Frame, laid: &mut [f32]) {
    let plane = sizes.height * sizes.width;
    let rows = frame.rows(laid.len(), sizes.height);
    let inside = rows.start * sizes.width..rows.end * sizes.width;
    for (group, planes) in planes.chunks(SQUARE * plane).enumerate() {
        let n_planes = planes.len() / plane;
        // Of the last group the missing planes repeat one that is there; they lie in the padding and meet weights of 0.
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
fn take_up(laid: &[f32], sizes: Sizes, frame: Frame, planes: &mut [f32]) {
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

/// A transform of the tiles of one picture, a register of channels at a time.
struct Transform<'a, F, T> {
    block: &'a Block,
    /// Padded.
    channels: usize,
    /// The picture's first tile in the block.
    first_tile: usize,
    from: F,
    to: T,
}

/// `[2 rows + 2, 2 columns + 2, channels]`.
struct Inputs<'a>(&'a [f32]);

/// `[2 rows, 2 columns, channels]`.
struct Gradients<'a>(&'a [f32]);

/// `[points, tiles, channels]`.
struct Products<'a> {
    points: &'a [f32],
    bias: Option<&'a [f32]>,
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
