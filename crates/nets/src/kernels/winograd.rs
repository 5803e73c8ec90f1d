//! How is a 3x3 convolution of stride 1 computed with fewer than half of its multiplications?
//!
//! F(2x2, 3x3) of Lavin and Gray (2016): an input tile of 4x4 and a kernel are each brought to 16 values, in which the
//! convolution is a product; so 16 small matrix products over the channels take the place of 36. The inverse brings four
//! outputs back. Each transform's adjoint is its gradient, so the weights' gradient goes the same way back. Rounding
//! errors are those of a plain sum within a factor of two or so; the 4x4 output tiles that others use lose more.
//!
//! Tiles of a few pictures, or of some tile rows of one, are a block; blocks go to threads, nothing depends on which. In
//! a block channels lie innermost, padded to whole registers, so that maps of any width fill them.

mod places;
mod tiles;

use std::ops::Range;

use rayon::prelude::*;

use self::places::{Frame, Laid, lay, take_up};
use self::tiles::{Gradients, Inputs, Products, Transform};
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
