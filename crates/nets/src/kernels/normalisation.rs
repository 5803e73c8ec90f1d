//! How are batch normalisation, the way around a block and ReLU computed in one pass, forward and back?

use rayon::prelude::*;

/// Channels that one thread sums at a time: long runs of memory, and enough pieces for all threads.
const CHANNELS_A_PIECE: usize = 8;

/// Sizes of `[batch, channels, plane]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) channels: usize,
    pub(super) plane: usize,
}

/// What normalising needs to know of each channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statistics<'a> {
    /// `[channels]` means, then `[channels]` variances.
    pub(super) moments: &'a [f32],
    pub(super) gamma: &'a [f32],
    pub(super) beta: &'a [f32],
    pub(super) epsilon: f64,
}

impl Statistics<'_> {
    fn mean(&self, channel: usize) -> f32 {
        self.moments[channel]
    }

    fn inverse_deviation(&self, channel: usize) -> f32 {
        let variance = f64::from(self.moments[self.gamma.len() + channel]);
        (1.0 / (variance + self.epsilon).sqrt()) as f32
    }
}

/// Mean and biased variance of each channel, `[2, channels]`.
pub(super) fn channel_moments(input: &[f32], sizes: Sizes) -> Vec<f32> {
    let n_values = (input.len() / sizes.channels) as f64;
    let means = channel_sums(input, input, sizes, |_| |value: f32, _| [value, 0.0]);
    let mean = |channel: usize| (means[channel][0] / n_values) as f32;
    // A second pass: the difference of sums of squares would lose a small variance beside a large mean.
    let squares = channel_sums(input, input, sizes, |channel| {
        let mean = mean(channel);
        move |value: f32, _| [(value - mean) * (value - mean), 0.0]
    });
    let mut moments: Vec<f32> = (0..sizes.channels).map(mean).collect();
    moments.extend(squares.iter().map(|[sum, _]| (sum / n_values) as f32));
    moments
}

/// Normalised, scaled and shifted; plus `around`; negative values become 0 if `has_relu`.
pub(super) fn normalise(
    input: &[f32],
    around: Option<&[f32]>,
    statistics: Statistics<'_>,
    has_relu: bool,
    sizes: Sizes,
) -> Vec<f32> {
    let mut output = vec![0.0; input.len()];
    let least = if has_relu { 0.0 } else { f32::NEG_INFINITY };
    output.par_chunks_mut(sizes.plane).zip(input.par_chunks(sizes.plane)).enumerate().with_min_len(16).for_each(
        |(plane_idx, (output, input))| {
            let channel = plane_idx % sizes.channels;
            let factor = statistics.inverse_deviation(channel) * statistics.gamma[channel];
            let shift = statistics.beta[channel] - statistics.mean(channel) * factor;
            match around {
                Some(around) => {
                    let around = &around[plane_idx * sizes.plane..][..sizes.plane];
                    for ((out, value), around) in output.iter_mut().zip(input).zip(around) {
                        *out = (value * factor + shift + around).max(least);
                    }
                }
                None => {
                    for (out, value) in output.iter_mut().zip(input) {
                        *out = (value * factor + shift).max(least);
                    }
                }
            }
        },
    );
    output
}

/// The loss's gradients, from that by the output.
pub(super) struct Gradients {
    pub(super) input: Vec<f32>,
    /// By what is added; the output's gradient where ReLU let it through.
    pub(super) around: Vec<f32>,
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
}

/// `gradient` by the output is masked in place where the `output` of a ReLU is 0, and is then the gradient by `around`.
/// `statistics` are those of `input` itself, so that their own gradients are part of this one.
pub(super) fn gradients(
    input: &[f32],
    mut gradient: Vec<f32>,
    output: Option<&[f32]>,
    statistics: Statistics<'_>,
    sizes: Sizes,
) -> Gradients {
    if let Some(output) = output {
        mask(&mut gradient, output);
    }
    let sums = channel_sums(&gradient, input, sizes, |channel| {
        let (mean, inverse) = (statistics.mean(channel), statistics.inverse_deviation(channel));
        move |gradient: f32, value: f32| [gradient, gradient * ((value - mean) * inverse)]
    });
    let n_values = (input.len() / sizes.channels) as f32;
    let beta: Vec<f32> = sums.iter().map(|[sum, _]| *sum as f32).collect();
    let gamma: Vec<f32> = sums.iter().map(|[_, sum]| *sum as f32).collect();
    let mut by_input = vec![0.0; input.len()];
    by_input
        .par_chunks_mut(sizes.plane)
        .zip(input.par_chunks(sizes.plane).zip(gradient.par_chunks(sizes.plane)))
        .enumerate()
        .with_min_len(16)
        .for_each(|(plane_idx, (out, (input, gradient)))| {
            let channel = plane_idx % sizes.channels;
            let inverse = statistics.inverse_deviation(channel);
            let factor = inverse * statistics.gamma[channel];
            // factor * (g - mean(g) - xhat * mean(g xhat)), as a line in g and x.
            let by_value = -factor * inverse * gamma[channel] / n_values;
            let constant = -factor * beta[channel] / n_values - by_value * statistics.mean(channel);
            for ((out, value), gradient) in out.iter_mut().zip(input).zip(gradient) {
                *out = factor * gradient + by_value * value + constant;
            }
        });
    Gradients { input: by_input, around: gradient, gamma, beta }
}

/// The gradient before a ReLU that made `output`, and that by a bias of each channel.
pub(super) fn relu_gradients(mut gradient: Vec<f32>, output: &[f32], sizes: Sizes) -> (Vec<f32>, Vec<f32>) {
    mask(&mut gradient, output);
    let sums = channel_sums(&gradient, &gradient, sizes, |_| |gradient: f32, _| [gradient, 0.0]);
    (gradient, sums.iter().map(|[sum, _]| *sum as f32).collect())
}

/// No gradient goes through where a ReLU's output is 0.
fn mask(gradient: &mut [f32], output: &[f32]) {
    gradient.par_chunks_mut(1 << 14).zip(output.par_chunks(1 << 14)).for_each(|(gradient, output)| {
        for (gradient, output) in gradient.iter_mut().zip(output) {
            *gradient = if *output > 0.0 { *gradient } else { 0.0 };
        }
    });
}

/// For each channel the sums of two figures of its values in `a` and `b`, the same on any number of threads.
fn channel_sums<F: Fn(f32, f32) -> [f32; 2]>(
    a: &[f32],
    b: &[f32],
    sizes: Sizes,
    figures_of: impl Fn(usize) -> F + Sync,
) -> Vec<[f64; 2]> {
    let mut sums = vec![[0.0f64; 2]; sizes.channels];
    sums.par_chunks_mut(CHANNELS_A_PIECE).enumerate().for_each(|(piece, sums)| {
        let first = piece * CHANNELS_A_PIECE;
        for picture in 0..a.len() / (sizes.channels * sizes.plane) {
            for (offset, sum) in sums.iter_mut().enumerate() {
                let figures = figures_of(first + offset);
                let start = (picture * sizes.channels + first + offset) * sizes.plane;
                let (a, b) = (&a[start..start + sizes.plane], &b[start..start + sizes.plane]);
                let plane = plane_sums(a, b, figures);
                sum[0] += f64::from(plane[0]);
                sum[1] += f64::from(plane[1]);
            }
        }
    });
    sums
}

/// Eight sums side by side, so that they fill a vector register.
fn plane_sums(a: &[f32], b: &[f32], figures: impl Fn(f32, f32) -> [f32; 2]) -> [f32; 2] {
    let mut lanes = [[0.0f32; 8]; 2];
    let (a_parts, a_rest) = a.as_chunks::<8>();
    let (b_parts, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_parts.iter().zip(b_parts) {
        for lane in 0..8 {
            let [first, second] = figures(a[lane], b[lane]);
            lanes[0][lane] += first;
            lanes[1][lane] += second;
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        let [first, second] = figures(*a, *b);
        lanes[0][lane] += first;
        lanes[1][lane] += second;
    }
    lanes.map(|lane| lane.iter().sum())
}
