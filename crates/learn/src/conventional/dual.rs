//! Which weights does one linear machine get? Dual coordinate descent, one face after the other.
//!
//! Classification is Hsieh et al. 2008 ("A dual coordinate descent method for large-scale linear SVM"), regression Ho and
//! Lin 2012 ("Large-scale linear support vector regression"), both with the shrinking and the stopping rules of LIBLINEAR.
//! The constant that goes with the bias is a feature of value 1 that every face has, so the bias is penalised as the
//! weights are (scikit-learn's `intercept_scaling = 1`).

use affectory_nets::widened;
use pulp::{Simd, WithSimd};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::LearnError;
use crate::conventional::wide::{add_scaled, dot};

/// Features of many faces, row by row, all finite.
#[derive(Debug, Clone, Copy)]
pub struct Features<'a> {
    values: &'a [f32],
    n_columns: usize,
}

impl<'a> Features<'a> {
    /// `values` has a whole number of rows of `n_columns`.
    ///
    /// # Errors
    /// [`LearnError::Unfit`] for a broken last row, no columns, or a value that is not finite.
    pub fn new(values: &'a [f32], n_columns: usize) -> Result<Self, LearnError> {
        if n_columns == 0 || !values.len().is_multiple_of(n_columns) {
            return Err(LearnError::Unfit(format!("{} features are no rows of {n_columns}", values.len())));
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let (row, column) = (at / n_columns, at % n_columns);
            return Err(LearnError::Unfit(format!("feature {column} of face {row} is {}", values[at])));
        }
        Ok(Self { values, n_columns })
    }

    /// Number of faces.
    pub fn n_rows(&self) -> usize {
        self.values.len() / self.n_columns
    }

    /// Features of a face.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// One face.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.n_columns..(row + 1) * self.n_columns]
    }
}

/// What is paid for a face beyond the margin, or outside the tube.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// The distance: hinge, or epsilon-insensitive.
    L1,
    /// Its square, LIBLINEAR's and scikit-learn's default for classification.
    L2,
}

/// How a machine is fitted. The defaults are scikit-learn's for `LinearSVC`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearOptions {
    /// C, the price of a unit of loss beside half the weights' squared length, > 0.
    pub cost: f64,
    /// What is paid for.
    pub loss: Loss,
    /// Half the width of the tube in which a regression pays nothing, >= 0.
    pub epsilon: f64,
    /// LIBLINEAR's eps: how far from optimal a machine may be. Classification compares the largest violation in a pass
    /// with it, regression the sum of violations with that of the first pass.
    pub tolerance: f64,
    /// Passes over the faces after which a machine is left as it is, and said not to have converged.
    pub max_iterations: u32,
    /// The order of the faces follows from it.
    pub seed: u64,
}

impl Default for LinearOptions {
    fn default() -> Self {
        Self { cost: 1.0, loss: Loss::L2, epsilon: 0.0, tolerance: 1e-4, max_iterations: 1000, seed: 0 }
    }
}

impl LinearOptions {
    fn check(&self) -> Result<(), LearnError> {
        let bad = |name: &str, value: f64| Err(LearnError::Unfit(format!("{name} = {value} is out of range")));
        match self {
            Self { cost, .. } if !(*cost > 0.0 && cost.is_finite()) => bad("cost", *cost),
            Self { epsilon, .. } if !(*epsilon >= 0.0 && epsilon.is_finite()) => bad("epsilon", *epsilon),
            Self { tolerance, .. } if !(*tolerance > 0.0 && tolerance.is_finite()) => bad("tolerance", *tolerance),
            _ => Ok(()),
        }
    }
}

/// A machine after fitting.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// One weight a feature.
    pub weights: Vec<f64>,
    /// Added to the weighted sum.
    pub bias: f64,
    /// What was to be made small: half the squared length of weights and bias, plus cost times loss.
    pub objective: f64,
    /// Passes over the faces.
    pub n_iterations: u32,
    /// Whether the tolerance was reached within `max_iterations`.
    pub converged: bool,
}

impl Fit {
    /// The weighted sum of a face's features, plus bias.
    pub fn decision(&self, row: &[f32]) -> f64 {
        self.weights.iter().zip(row).map(|(w, x)| w * f64::from(*x)).sum::<f64>() + self.bias
    }
}

/// One face of a two-sided classification.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sided {
    /// Its row among the features.
    pub row: usize,
    /// Whether it is to be above 0.
    pub is_positive: bool,
}

/// Fits a classifier: positives above 0, negatives below. Their costs are `options.cost` times `weights` (of
/// negatives, of positives).
///
/// # Errors
/// [`LearnError::Unfit`] for no face, a row that is not there, or options out of range.
pub fn fit_sides(
    features: Features,
    faces: &[Sided],
    weights: [f64; 2],
    options: &LinearOptions,
) -> Result<Fit, LearnError> {
    options.check()?;
    check_rows(features, faces.iter().map(|face| face.row))?;
    if weights.iter().any(|weight| !(*weight > 0.0 && weight.is_finite())) {
        return Err(LearnError::Unfit(format!("class weights {weights:?} are out of range")));
    }
    let costs = weights.map(|weight| weight * options.cost);
    Ok(widened(Sides { features, faces, costs, options }))
}

/// Fits a regression: the decision of each row is to be near its target.
///
/// # Errors
/// [`LearnError::Unfit`] for no face, a row that is not there, a target that is not finite, or options out of range.
pub fn fit_targets(features: Features, faces: &[(usize, f64)], options: &LinearOptions) -> Result<Fit, LearnError> {
    options.check()?;
    check_rows(features, faces.iter().map(|(row, _)| *row))?;
    if let Some((row, target)) = faces.iter().find(|(_, target)| !target.is_finite()) {
        return Err(LearnError::Unfit(format!("the target of face {row} is {target}")));
    }
    Ok(widened(Targets { features, faces, options }))
}

fn check_rows(features: Features, mut rows: impl ExactSizeIterator<Item = usize>) -> Result<(), LearnError> {
    if rows.len() == 0 || u32::try_from(rows.len()).is_err() {
        return Err(LearnError::Unfit(format!("{} faces to learn from", rows.len())));
    }
    match rows.find(|row| *row >= features.n_rows()) {
        Some(row) => Err(LearnError::Unfit(format!("there is no face {row} among {}", features.n_rows()))),
        None => Ok(()),
    }
}

/// Hsieh et al. 2008, algorithm 3, for costs of negatives and of positives.
struct Sides<'a> {
    features: Features<'a>,
    faces: &'a [Sided],
    costs: [f64; 2],
    options: &'a LinearOptions,
}

impl WithSimd for Sides<'_> {
    type Output = Fit;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Fit {
        let Self { features, faces, costs, options } = self;
        // Squared loss bends the dual; plain loss bounds it.
        let (bends, bounds) = match options.loss {
            Loss::L1 => ([0.0; 2], costs),
            Loss::L2 => (costs.map(|cost| 0.5 / cost), [f64::INFINITY; 2]),
        };
        let sign = |face: &Sided| if face.is_positive { 1.0 } else { -1.0 };
        let side = |face: &Sided| usize::from(face.is_positive);
        let lengths: Vec<f64> = faces.iter().map(|face| squared_length(features.row(face.row))).collect();
        let mut alphas = vec![0.0f64; faces.len()];
        let mut machine = Machine::new(features.n_columns());
        let mut order = Order::new(faces.len(), options.seed);
        let (mut highest_before, mut lowest_before) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut n_iterations, mut converged) = (0, false);
        while n_iterations < options.max_iterations && !converged {
            n_iterations += 1;
            let (mut highest, mut lowest) = (f64::NEG_INFINITY, f64::INFINITY);
            order.shuffle();
            let mut place = 0;
            while let Some(idx) = order.active(place) {
                let (face, alpha) = (&faces[idx], alphas[idx]);
                let row = features.row(face.row);
                let (bend, bound) = (bends[side(face)], bounds[side(face)]);
                let slope = sign(face) * machine.decision(simd, row) - 1.0 + alpha * bend;
                // The slope as far as alpha may follow it. A face that is far on the right side of its bound is left out.
                let projected = if alpha == 0.0 {
                    if slope > highest_before {
                        order.shrink(place);
                        continue;
                    }
                    slope.min(0.0)
                } else if alpha == bound {
                    if slope < lowest_before {
                        order.shrink(place);
                        continue;
                    }
                    slope.max(0.0)
                } else {
                    slope
                };
                place += 1;
                (highest, lowest) = (highest.max(projected), lowest.min(projected));
                if projected.abs() > 1e-12 {
                    alphas[idx] = (alpha - slope / (lengths[idx] + bend)).clamp(0.0, bound);
                    machine.add(simd, (alphas[idx] - alpha) * sign(face), row);
                }
            }
            let settled = highest - lowest <= options.tolerance
                && highest.abs() <= options.tolerance
                && lowest.abs() <= options.tolerance;
            if settled && order.is_whole() {
                converged = true;
            } else if settled {
                order.unshrink();
                machine = Machine::of(features, faces.iter().zip(&alphas).map(|(face, a)| (face.row, a * sign(face))));
                (highest_before, lowest_before) = (f64::INFINITY, f64::NEG_INFINITY);
            } else {
                highest_before = if highest > 0.0 { highest } else { f64::INFINITY };
                lowest_before = if lowest < 0.0 { lowest } else { f64::NEG_INFINITY };
            }
        }
        let terms = faces.iter().zip(&alphas).map(|(face, alpha)| (face.row, alpha * sign(face)));
        let mut fit = exact(features, terms, n_iterations, converged);
        let paid = faces.iter().map(|face| {
            let beyond = (1.0 - sign(face) * fit.decision(features.row(face.row))).max(0.0);
            costs[side(face)] * power(beyond, options.loss)
        });
        fit.objective += paid.sum::<f64>();
        fit
    }
}

/// Ho and Lin 2012, algorithm 4.
struct Targets<'a> {
    features: Features<'a>,
    faces: &'a [(usize, f64)],
    options: &'a LinearOptions,
}

impl WithSimd for Targets<'_> {
    type Output = Fit;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Fit {
        let Self { features, faces, options } = self;
        let (bend, bound) = match options.loss {
            Loss::L1 => (0.0, options.cost),
            Loss::L2 => (0.5 / options.cost, f64::INFINITY),
        };
        let lengths: Vec<f64> = faces.iter().map(|(row, _)| squared_length(features.row(*row))).collect();
        let mut betas = vec![0.0f64; faces.len()];
        let mut machine = Machine::new(features.n_columns());
        let mut order = Order::new(faces.len(), options.seed);
        let (mut largest_before, mut first_sum) = (f64::INFINITY, None);
        let (mut n_iterations, mut converged) = (0, false);
        while n_iterations < options.max_iterations && !converged {
            n_iterations += 1;
            let (mut largest, mut sum) = (0.0f64, 0.0);
            order.shuffle();
            let mut place = 0;
            while let Some(idx) = order.active(place) {
                let ((row, target), beta) = (faces[idx], betas[idx]);
                let row = features.row(row);
                let slope = machine.decision(simd, row) - target + bend * beta;
                let curvature = lengths[idx] + bend;
                // The tube makes two slopes of one: when beta grows from 0, and when it falls.
                let (rising, falling) = (slope + options.epsilon, slope - options.epsilon);
                let mut is_settled = false;
                let violation = if beta == 0.0 {
                    is_settled = rising > largest_before && falling < -largest_before;
                    (-rising).max(falling).max(0.0)
                } else if beta >= bound {
                    is_settled = rising < -largest_before;
                    rising.max(0.0)
                } else if beta <= -bound {
                    is_settled = falling > largest_before;
                    (-falling).max(0.0)
                } else if beta > 0.0 {
                    rising.abs()
                } else {
                    falling.abs()
                };
                if is_settled {
                    order.shrink(place);
                    continue;
                }
                place += 1;
                largest = largest.max(violation);
                sum += violation;
                let step = if rising < curvature * beta {
                    -rising / curvature
                } else if falling > curvature * beta {
                    -falling / curvature
                } else {
                    -beta
                };
                if step.abs() >= 1e-12 {
                    betas[idx] = (beta + step).clamp(-bound, bound);
                    machine.add(simd, betas[idx] - beta, row);
                }
            }
            let is_settled = sum <= options.tolerance * *first_sum.get_or_insert(sum);
            if is_settled && order.is_whole() {
                converged = true;
            } else if is_settled {
                order.unshrink();
                machine = Machine::of(features, faces.iter().zip(&betas).map(|((row, _), beta)| (*row, *beta)));
                largest_before = f64::INFINITY;
            } else {
                largest_before = largest;
            }
        }
        let terms = faces.iter().zip(&betas).map(|((row, _), beta)| (*row, *beta));
        let mut fit = exact(features, terms, n_iterations, converged);
        let paid = faces.iter().map(|(row, target)| {
            let beyond = ((fit.decision(features.row(*row)) - target).abs() - options.epsilon).max(0.0);
            options.cost * power(beyond, options.loss)
        });
        fit.objective += paid.sum::<f64>();
        fit
    }
}

fn power(beyond: f64, loss: Loss) -> f64 {
    match loss {
        Loss::L1 => beyond,
        Loss::L2 => beyond * beyond,
    }
}

/// Weights while they are looked for: 32-bit, which is twice as fast and at most a rounding away from the sum that
/// they stand for. That sum is formed anew, in 64 bits, before faces come back and at the end.
struct Machine {
    weights: Vec<f32>,
    bias: f64,
}

impl Machine {
    fn new(n_columns: usize) -> Self {
        Self { weights: vec![0.0; n_columns], bias: 0.0 }
    }

    /// The sum of `factor * row`.
    fn of(features: Features, terms: impl Iterator<Item = (usize, f64)>) -> Self {
        let (weights, bias) = weighted_sum(features, terms);
        Self { weights: weights.iter().map(|w| *w as f32).collect(), bias }
    }

    #[inline(always)]
    fn decision<S: Simd>(&self, simd: S, row: &[f32]) -> f64 {
        f64::from(dot(simd, &self.weights, row)) + self.bias
    }

    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, factor: f64, row: &[f32]) {
        add_scaled(simd, &mut self.weights, factor as f32, row);
        self.bias += factor;
    }
}

/// Squared length of a face with its constant feature.
fn squared_length(row: &[f32]) -> f64 {
    1.0 + row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>()
}

fn weighted_sum(features: Features, terms: impl Iterator<Item = (usize, f64)>) -> (Vec<f64>, f64) {
    let (mut weights, mut bias) = (vec![0.0; features.n_columns()], 0.0);
    for (row, factor) in terms.filter(|(_, factor)| *factor != 0.0) {
        weights.iter_mut().zip(features.row(row)).for_each(|(w, x)| *w += factor * f64::from(*x));
        bias += factor;
    }
    (weights, bias)
}

/// The machine with the loss still missing from its objective.
fn exact(features: Features, terms: impl Iterator<Item = (usize, f64)>, n_iterations: u32, converged: bool) -> Fit {
    let (weights, bias) = weighted_sum(features, terms);
    let objective = 0.5 * (weights.iter().map(|w| w * w).sum::<f64>() + bias * bias);
    Fit { weights, bias, objective, n_iterations, converged }
}

/// The faces in the order of a pass, those that are still looked at in front.
struct Order {
    faces: Vec<u32>,
    n_active: usize,
    rng: ChaCha8Rng,
}

impl Order {
    /// There are fewer than 2^32 faces.
    fn new(n_faces: usize, seed: u64) -> Self {
        Self { faces: (0..n_faces as u32).collect(), n_active: n_faces, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn shuffle(&mut self) {
        let n = self.n_active as u32;
        for place in 0..n {
            self.faces.swap(place as usize, self.rng.random_range(place..n) as usize);
        }
    }

    #[inline(always)]
    fn active(&self, place: usize) -> Option<usize> {
        (place < self.n_active).then(|| self.faces[place] as usize)
    }

    /// Puts the face at a place behind those that are looked at; another one is at that place then.
    #[inline(always)]
    fn shrink(&mut self, place: usize) {
        self.n_active -= 1;
        self.faces.swap(place, self.n_active);
    }

    fn unshrink(&mut self) {
        self.n_active = self.faces.len();
    }

    fn is_whole(&self) -> bool {
        self.n_active == self.faces.len()
    }
}
