//! How are a convolution and its two gradients computed from slices?
//!
//! The output's places are cut into tiles: whole rows of one picture, or several small pictures. For a tile the input is
//! unfolded to `[from * k * k, places]` (Chellapilla, Puri, Simard 2006), small enough for a core's cache, and one matrix
//! product does the rest. Tiles go to threads; nothing depends on which.

use rayon::prelude::*;

use super::matrix::{Layout, Place, multiply};
use super::winograd;

/// Columns of an unfolded tile that are aimed at: enough for the product to run at full speed, few enough for the cache.
const TILE_PLACES: usize = 256;

/// Sums of weight gradients are taken in this many parts, on however many threads.
const N_PARTS: usize = 8;

/// Sizes of a square, zero-padded convolution over a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Sizes {
    pub(super) fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    pub(super) fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    pub(super) fn out_plane(&self) -> usize {
        self.out_height() * self.out_width()
    }

    fn in_picture(&self) -> usize {
        self.from * self.height * self.width
    }

    fn out_picture(&self) -> usize {
        self.to * self.out_plane()
    }

    /// Rows of the unfolded input: terms of one output value.
    fn n_terms(&self) -> usize {
        self.from * self.kernel * self.kernel
    }

    /// Output rows of a tile within one picture, and pictures of a tile: one of them is the whole or 1.
    fn tile(&self) -> (usize, usize) {
        let rows = (TILE_PLACES.div_ceil(self.out_width())).min(self.out_height());
        if rows < self.out_height() { (rows, 1) } else { (rows, (TILE_PLACES / self.out_plane()).max(1)) }
    }
}

/// What happens to a value after the sum.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finish<'a> {
    Plain,
    /// A bias for each output channel is added, then negative values become 0.
    BiasRelu(&'a [f32]),
}

/// `[batch, from, height, width]` and `[to, from, k, k]` to `[batch, to, height', width']`.
pub(super) fn convolve(input: &[f32], weight: &[f32], finish: Finish<'_>, sizes: Sizes) -> Vec<f32> {
    if winograd::suits(sizes) {
        return winograd::convolve(input, weight, finish, sizes);
    }
    plain_convolve(input, weight, finish, sizes)
}

/// As [`convolve`], every product of the definition taken.
pub(super) fn plain_convolve(input: &[f32], weight: &[f32], finish: Finish<'_>, sizes: Sizes) -> Vec<f32> {
    let mut output = vec![0.0; sizes.batch * sizes.out_picture()];
    let (tile_rows, tile_pictures) = sizes.tile();
    let (plane, out_width) = (sizes.out_plane(), sizes.out_width());
    output
        .par_chunks_mut(tile_pictures * sizes.out_picture())
        .zip(input.par_chunks(tile_pictures * sizes.in_picture()))
        .for_each_init(
            || (Vec::new(), Vec::new()),
            |(unfolded, product), (output, input)| {
                let n_pictures = input.len() / sizes.in_picture();
                for first_row in (0..sizes.out_height()).step_by(tile_rows) {
                    let rows = first_row..(first_row + tile_rows).min(sizes.out_height());
                    let places = n_pictures * rows.len() * out_width;
                    unfold(input, n_pictures, rows.clone(), sizes, unfolded);
                    let left = (weight, Layout::dense(sizes.to, sizes.n_terms()));
                    let right = (unfolded.as_slice(), Layout::dense(sizes.n_terms(), places));
                    if n_pictures == 1 {
                        let out = &mut output[rows.start * out_width..];
                        multiply((out, Layout::strided(sizes.to, places, plane)), Place::Overwritten, left, right);
                        for (channel, out) in out.chunks_mut(plane).enumerate() {
                            finish_values(&mut out[..places], finish, channel);
                        }
                    } else {
                        product.resize(sizes.to * places, 0.0);
                        multiply((product, Layout::dense(sizes.to, places)), Place::Overwritten, left, right);
                        for (channel, values) in product.chunks_exact_mut(places).enumerate() {
                            finish_values(values, finish, channel);
                            for (picture, values) in values.chunks_exact(plane).enumerate() {
                                output[(picture * sizes.to + channel) * plane..][..plane].copy_from_slice(values);
                            }
                        }
                    }
                }
            },
        );
    output
}

fn finish_values(values: &mut [f32], finish: Finish<'_>, channel: usize) {
    if let Finish::BiasRelu(bias) = finish {
        let bias = bias[channel];
        values.iter_mut().for_each(|value| *value = (*value + bias).max(0.0));
    }
}

/// The loss's gradient by the input, from that by the output.
pub(super) fn input_gradient(weight: &[f32], gradient: &[f32], sizes: Sizes) -> Vec<f32> {
    if sizes.stride == 1 && sizes.padding < sizes.kernel {
        // Every input value meets every weight once: a convolution with the weights turned and exchanged.
        let turned = Sizes {
            from: sizes.to,
            to: sizes.from,
            padding: sizes.kernel - 1 - sizes.padding,
            height: sizes.out_height(),
            width: sizes.out_width(),
            ..sizes
        };
        return convolve(gradient, &turn(weight, sizes), Finish::Plain, turned);
    }
    let mut input_gradient = vec![0.0; sizes.batch * sizes.in_picture()];
    let places = sizes.out_plane();
    input_gradient.par_chunks_mut(sizes.in_picture()).zip(gradient.par_chunks(sizes.out_picture())).for_each_init(
        Vec::new,
        |unfolded, (to, from)| {
            unfolded.resize(sizes.n_terms() * places, 0.0);
            let left = (weight, Layout::dense(sizes.to, sizes.n_terms()).transposed());
            let right = (from, Layout::dense(sizes.to, places));
            multiply((unfolded, Layout::dense(sizes.n_terms(), places)), Place::Overwritten, left, right);
            fold(unfolded, sizes, to);
        },
    );
    input_gradient
}

/// `[to, from, k, k]` to `[from, to, k, k]` with both kernel axes reversed.
fn turn(weight: &[f32], sizes: Sizes) -> Vec<f32> {
    let area = sizes.kernel * sizes.kernel;
    let mut turned = vec![0.0; weight.len()];
    for (to, kernels) in weight.chunks_exact(sizes.n_terms()).enumerate() {
        for (from, kernel) in kernels.chunks_exact(area).enumerate() {
            let out = &mut turned[(from * sizes.to + to) * area..][..area];
            out.iter_mut().zip(kernel.iter().rev()).for_each(|(out, value)| *out = *value);
        }
    }
    turned
}

/// The loss's gradient by the weights.
pub(super) fn weight_gradient(input: &[f32], gradient: &[f32], sizes: Sizes) -> Vec<f32> {
    if winograd::suits(sizes) {
        return winograd::weight_gradient(input, gradient, sizes);
    }
    plain_weight_gradient(input, gradient, sizes)
}

/// As [`weight_gradient`], every product of the definition taken.
pub(super) fn plain_weight_gradient(input: &[f32], gradient: &[f32], sizes: Sizes) -> Vec<f32> {
    let (tile_rows, tile_pictures) = sizes.tile();
    let (plane, out_width) = (sizes.out_plane(), sizes.out_width());
    sum_of_parts(
        (input, tile_pictures * sizes.in_picture()),
        (gradient, tile_pictures * sizes.out_picture()),
        sizes.to * sizes.n_terms(),
        || (Vec::new(), Vec::new()),
        |(unfolded, gathered), (input, gradient), sum| {
            let n_pictures = input.len() / sizes.in_picture();
            for first_row in (0..sizes.out_height()).step_by(tile_rows) {
                let rows = first_row..(first_row + tile_rows).min(sizes.out_height());
                let places = n_pictures * rows.len() * out_width;
                unfold(input, n_pictures, rows.clone(), sizes, unfolded);
                let left = if n_pictures == 1 {
                    (&gradient[rows.start * out_width..], Layout::strided(sizes.to, places, plane))
                } else {
                    gathered.resize(sizes.to * places, 0.0);
                    for (picture, planes) in gradient.chunks_exact(sizes.out_picture()).enumerate() {
                        for (channel, values) in planes.chunks_exact(plane).enumerate() {
                            gathered[channel * places + picture * plane..][..plane].copy_from_slice(values);
                        }
                    }
                    (gathered.as_slice(), Layout::dense(sizes.to, places))
                };
                let right = (unfolded.as_slice(), Layout::dense(sizes.n_terms(), places).transposed());
                multiply((sum, Layout::dense(sizes.to, sizes.n_terms())), Place::AddedTo, left, right);
            }
        },
    )
}

/// The sum over a batch of what `add` adds for each pair of pieces of `input` and `gradient`, each given with the length
/// of a piece. Parts hold whole pieces, so that how the sum is taken follows from the sizes alone.
pub(super) fn sum_of_parts<S>(
    (input, input_piece): (&[f32], usize),
    (gradient, gradient_piece): (&[f32], usize),
    n_values: usize,
    scratch: impl Fn() -> S + Sync,
    add: impl Fn(&mut S, (&[f32], &[f32]), &mut [f32]) + Sync,
) -> Vec<f32> {
    let part = input.len().div_ceil(input_piece).div_ceil(N_PARTS);
    let parts: Vec<Vec<f32>> = input
        .par_chunks(part * input_piece)
        .zip(gradient.par_chunks(part * gradient_piece))
        .map(|(input, gradient)| {
            let mut sum = vec![0.0; n_values];
            let mut scratch = scratch();
            for pieces in input.chunks(input_piece).zip(gradient.chunks(gradient_piece)) {
                add(&mut scratch, pieces, &mut sum);
            }
            sum
        })
        .collect();
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    sum
}

/// Fills `unfolded` with `[from * k * k, pictures * rows * out_width]`: for each term of the sum the input values it meets.
fn unfold(input: &[f32], n_pictures: usize, rows: std::ops::Range<usize>, sizes: Sizes, unfolded: &mut Vec<f32>) {
    let Sizes { kernel, width, height, .. } = sizes;
    let out_width = sizes.out_width();
    let picture_places = rows.len() * out_width;
    let places = n_pictures * picture_places;
    unfolded.resize(sizes.n_terms() * places, 0.0);
    for (term, out) in unfolded.chunks_exact_mut(places).enumerate() {
        let (channel, down, right) = (term / (kernel * kernel), term / kernel % kernel, term % kernel);
        for (picture, out) in out.chunks_exact_mut(picture_places).enumerate() {
            let plane = &input[(picture * sizes.from + channel) * height * width..][..height * width];
            if sizes.stride == 1 && out_width == width && sizes.padding < width {
                unfold_shifted(plane, rows.clone(), [down, right], sizes, out);
            } else {
                unfold_rows(plane, rows.clone(), [down, right], sizes, out);
            }
        }
    }
}

/// Stride 1 and a width that stays: the rows are one run of the plane, moved; what wraps around an edge is outside.
fn unfold_shifted(
    plane: &[f32],
    rows: std::ops::Range<usize>,
    [down, right]: [usize; 2],
    sizes: Sizes,
    out: &mut [f32],
) {
    let Sizes { padding, width, height, .. } = sizes;
    // Output rows whose input row exists.
    let first = padding.saturating_sub(down).max(rows.start).min(rows.end);
    let end = (height + padding).saturating_sub(down).min(rows.end).max(first);
    let (before, after) = ((first - rows.start) * width, (end - rows.start) * width);
    out[..before].fill(0.0);
    out[after..].fill(0.0);
    if first == end {
        return;
    }
    let inside = &mut out[before..after];
    let from = ((first + down - padding) * width) as isize + right as isize - padding as isize;
    let n_values = inside.len() as isize;
    // The run may begin before the plane or end behind it by less than a row: those places are outside anyway.
    let skipped = (-from).max(0) as usize;
    let copied = (plane.len() as isize - from).min(n_values).max(skipped as isize) as usize;
    inside[skipped..copied]
        .copy_from_slice(&plane[(from + skipped as isize) as usize..(from + copied as isize) as usize]);
    let (left, over) = (padding.saturating_sub(right), (right).saturating_sub(padding));
    for row in inside.chunks_exact_mut(width) {
        row[..left.min(width)].fill(0.0);
        row[width - over.min(width)..].fill(0.0);
    }
}

fn unfold_rows(plane: &[f32], rows: std::ops::Range<usize>, [down, right]: [usize; 2], sizes: Sizes, out: &mut [f32]) {
    let Sizes { stride, padding, width, height, .. } = sizes;
    for (row, out) in rows.zip(out.chunks_exact_mut(sizes.out_width())) {
        let Some(from_row) = (row * stride + down).checked_sub(padding).filter(|&from| from < height) else {
            out.fill(0.0);
            continue;
        };
        let values = &plane[from_row * width..][..width];
        // Columns whose input column exists.
        let first = padding.saturating_sub(right).div_ceil(stride).min(out.len());
        let end = (width + padding).saturating_sub(right).div_ceil(stride).clamp(first, out.len());
        out[..first].fill(0.0);
        out[end..].fill(0.0);
        if first < end {
            let from = first * stride + right - padding;
            let taken = values[from..].iter().step_by(stride);
            out[first..end].iter_mut().zip(taken).for_each(|(out, value)| *out = *value);
        }
    }
}

/// The sum of an unfolded picture's values at the places they came from.
fn fold(unfolded: &[f32], sizes: Sizes, picture: &mut [f32]) {
    let Sizes { kernel, stride, padding, width, height, .. } = sizes;
    let out_width = sizes.out_width();
    for (term, values) in unfolded.chunks_exact(sizes.out_plane()).enumerate() {
        let (channel, down, right) = (term / (kernel * kernel), term / kernel % kernel, term % kernel);
        let plane = &mut picture[channel * height * width..][..height * width];
        let first = padding.saturating_sub(right).div_ceil(stride).min(out_width);
        let end = (width + padding).saturating_sub(right).div_ceil(stride).clamp(first, out_width);
        for (row, values) in values.chunks_exact(out_width).enumerate() {
            let Some(to_row) = (row * stride + down).checked_sub(padding).filter(|&to| to < height) else { continue };
            if first == end {
                continue;
            }
            let to = &mut plane[to_row * width + first * stride + right - padding..(to_row + 1) * width];
            to.iter_mut().step_by(stride).zip(&values[first..end]).for_each(|(to, value)| *to += *value);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, term by term.
    fn by_definition(input: &[f32], weight: &[f32], s: Sizes) -> Vec<f32> {
        let mut out = Vec::new();
        for n in 0..s.batch {
            for to in 0..s.to {
                for y in 0..s.out_height() {
                    for x in 0..s.out_width() {
                        let mut sum = 0.0;
                        for from in 0..s.from {
                            for down in 0..s.kernel {
                                for right in 0..s.kernel {
                                    let row = (y * s.stride + down).wrapping_sub(s.padding);
                                    let column = (x * s.stride + right).wrapping_sub(s.padding);
                                    if row < s.height && column < s.width {
                                        sum += input[((n * s.from + from) * s.height + row) * s.width + column]
                                            * weight[((to * s.from + from) * s.kernel + down) * s.kernel + right];
                                    }
                                }
                            }
                        }
                        out.push(sum);
                    }
                }
            }
        }
        out
    }

    pub(in super::super) fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Sizes around every branch: one picture a tile and several, odd edges, strides, kernels wider than the map.
        #[test]
        fn convolution_is_its_definition_and_the_gradients_are_its_adjoints(
            batch in 1usize..5, from in 1usize..4, to in 1usize..5, kernel in 1usize..6, stride in 1usize..4,
            padding in 0usize..3, height in 5usize..40, width in 5usize..40, seed in 1u32..1000,
        ) {
            let sizes = Sizes { batch, from, to, kernel, stride, padding, height, width };
            let input = numbers(batch * sizes.in_picture(), seed);
            let weight = numbers(to * sizes.n_terms(), seed + 1);
            let gradient = numbers(batch * sizes.out_picture(), seed + 2);
            let output = convolve(&input, &weight, Finish::Plain, sizes);
            for (found, expected) in output.iter().zip(by_definition(&input, &weight, sizes)) {
                prop_assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
            // Convolution is linear in each of its factors: <conv(x, w), g> = <x, x'> = <w, w'>.
            let expected = dot(&output, &gradient);
            let tolerance = 1e-4 * (1.0 + dot(&output, &output).sqrt() * dot(&gradient, &gradient).sqrt());
            let by_input = dot(&input, &input_gradient(&weight, &gradient, sizes));
            let by_weight = dot(&weight, &weight_gradient(&input, &gradient, sizes));
            prop_assert!((by_input - expected).abs() < tolerance, "input {by_input} {expected}");
            prop_assert!((by_weight - expected).abs() < tolerance, "weight {by_weight} {expected}");
        }
    }

    #[test]
    fn bias_and_relu_come_after_the_sum() {
        let sizes = Sizes { batch: 1, from: 1, to: 2, kernel: 1, stride: 1, padding: 0, height: 1, width: 2 };
        let found = convolve(&[1.0, -3.0], &[1.0, 2.0], Finish::BiasRelu(&[0.5, 1.0]), sizes);
        assert_eq!(found, [1.5, 0.0, 3.0, 0.0]);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let sizes = Sizes { batch: 37, from: 3, to: 5, kernel: 3, stride: 1, padding: 1, height: 7, width: 9 };
        let (input, gradient) = (numbers(37 * sizes.in_picture(), 1), numbers(37 * sizes.out_picture(), 2));
        let on = |n: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| weight_gradient(&input, &gradient, sizes))
        };
        assert_eq!(on(1), on(5));
    }
}
