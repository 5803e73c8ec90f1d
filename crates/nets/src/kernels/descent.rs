//! How do weights follow a gradient in one pass over memory each?

use rayon::prelude::*;

/// Values that a thread takes at a time.
const PIECE: usize = 1 << 14;

/// `velocity = momentum * velocity + gradient + decay * weight`.
pub(super) fn gain_velocity(velocity: &mut [f32], gradient: &[f32], weight: &[f32], momentum: f32, decay: f32) {
    let others = gradient.par_chunks(PIECE).zip(weight.par_chunks(PIECE));
    velocity.par_chunks_mut(PIECE).zip(others).for_each(|(velocity, (gradient, weight))| {
        for ((velocity, gradient), weight) in velocity.iter_mut().zip(gradient).zip(weight) {
            *velocity = momentum * *velocity + (gradient + decay * weight);
        }
    });
}

/// `weight = weight - rate * (momentum * velocity + gradient + decay * weight)`.
pub(super) fn descend(weight: &mut [f32], gradient: &[f32], velocity: &[f32], [rate, momentum, decay]: [f32; 3]) {
    let others = gradient.par_chunks(PIECE).zip(velocity.par_chunks(PIECE));
    weight.par_chunks_mut(PIECE).zip(others).for_each(|(weight, (gradient, velocity))| {
        for ((weight, gradient), velocity) in weight.iter_mut().zip(gradient).zip(velocity) {
            *weight -= rate * (momentum * velocity + (gradient + decay * *weight));
        }
    });
}
