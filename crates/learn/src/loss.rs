//! How far is a network's answer from what it should be?

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, Tensor, TensorData};

use affectory_nets::Outputs;

use crate::loader::Batch;
use crate::recipe::{AffectLoss, Loss, Recipe};

/// The expression loss plus the weighted valence/arousal loss; each averaged over the faces that have the label (the
/// expression's by weight), so that either may be missing. `[1]`.
pub(crate) fn loss(outputs: Outputs, batch: &Batch, recipe: &Recipe, device: &Device) -> Tensor<1> {
    let n_faces = batch.faces.len();
    let n_classes = batch.distributions.len() / n_faces;
    let tensor = |values: &[f32], columns: usize| {
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), [n_faces, columns]), device)
    };
    let mass: f32 = batch.distributions.iter().sum();
    let targets = tensor(&batch.distributions, n_classes); // [batch, classes]
    let terms = match recipe.loss {
        Loss::CrossEntropy => log_softmax(outputs.logits, 1).neg(),
        Loss::GeneralisedCrossEntropy => {
            // Kept away from 0, where the power's slope has no bound.
            let probabilities = softmax(outputs.logits, 1).clamp_min(1e-6);
            (probabilities.powf_scalar(recipe.loss_q).neg() + 1.0).div_scalar(recipe.loss_q)
        }
    };
    let expression = (terms * targets).sum().mul_scalar(recipe.expression_weight / f64::from(mass.max(1e-6)));
    if batch.valence_arousal_known.iter().all(|&known| known == 0.0) {
        return expression;
    }
    let (truth, known) = (tensor(&batch.valence_arousal, 2), tensor(&batch.valence_arousal_known, 2));
    let affect = match recipe.valence_arousal_loss {
        AffectLoss::Mse => {
            let n_known: f32 = batch.valence_arousal_known.iter().sum();
            let distance = (outputs.valence_arousal - truth) * known; // [batch, 2]
            (distance.clone() * distance).sum().mul_scalar(1.0 / n_known.max(1.0))
        }
        AffectLoss::Ccc => discordance(outputs.valence_arousal, truth, known),
    };
    expression + affect.mul_scalar(recipe.valence_arousal_weight)
}

/// `1 - CCC` (Lin 1989) over the known rows of each column, averaged over the columns that have any.
fn discordance(found: Tensor<2>, truth: Tensor<2>, known: Tensor<2>) -> Tensor<1> {
    let counts = known.clone().sum_dim(0); // [1, 2]
    let n_columns: f32 = counts.clone().greater_elem(0.0).float().sum().into_scalar();
    let divisor = counts.clone().clamp_min(1.0);
    let mean = |values: Tensor<2>| (values * known.clone()).sum_dim(0) / divisor.clone(); // [1, 2]
    let (found_mean, truth_mean) = (mean(found.clone()), mean(truth.clone()));
    let (found_off, truth_off) = (found - found_mean.clone(), truth - truth_mean.clone());
    let covariance = mean(found_off.clone() * truth_off.clone());
    let spread = mean(found_off.clone() * found_off) + mean(truth_off.clone() * truth_off);
    let between = found_mean - truth_mean;
    let ccc = covariance.mul_scalar(2.0) / (spread + between.clone() * between + 1e-8);
    let has_any = counts.greater_elem(0.0).float();
    ((ccc.neg() + 1.0) * has_any).sum().mul_scalar(1.0 / f64::from(n_columns.max(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(distributions: &[f32], affect: &[f32], known: &[f32]) -> Batch {
        Batch {
            faces: (0..affect.len() / 2).collect(),
            pixels: Vec::new(),
            distributions: distributions.to_vec(),
            valence_arousal: affect.to_vec(),
            valence_arousal_known: known.to_vec(),
        }
    }

    fn value(logits: &[f32], affect: &[f32], batch: &Batch, recipe: &Recipe) -> f32 {
        let (device, n) = (Device::flex(), batch.faces.len());
        let tensor =
            |values: &[f32]| Tensor::from_data(TensorData::new(values.to_vec(), [n, values.len() / n]), &device);
        loss(Outputs { logits: tensor(logits), valence_arousal: tensor(affect) }, batch, recipe, &device).into_scalar()
    }

    #[test]
    fn expression_losses_are_weighted_means_of_their_formulas() {
        // p = (0.5, 0.5) and (0.75, 0.25); the second face weighs a third of the first.
        let logits = [0.0, 0.0, 3.0f32.ln(), 0.0];
        let batch = batch(&[1.0, 0.0, 0.0, 1.0 / 3.0], &[0.0; 4], &[0.0; 4]);
        let found = value(&logits, &[0.0; 4], &batch, &Recipe::default());
        assert!((found - (2.0f32.ln() + 4.0f32.ln() / 3.0) / (4.0 / 3.0)).abs() < 1e-6);
        let absolute = Recipe { loss: Loss::GeneralisedCrossEntropy, loss_q: 1.0, ..Recipe::default() };
        let found = value(&logits, &[0.0; 4], &batch, &absolute);
        assert!((found - (0.5 + 0.75 / 3.0) / (4.0 / 3.0)).abs() < 1e-6, "q = 1 is the mean absolute error");
    }

    #[test]
    fn discordance_is_one_minus_ccc_of_what_is_known() {
        // Valence 0.2, 0.4, 0.9 against 0.1, 0.5, 0.6 (CCC by hand: 2 * 0.05333 / (0.08667 + 0.04667 + 0.01)); arousal unknown.
        let batch = batch(&[0.0; 6], &[0.1, 0.0, 0.5, 0.0, 0.6, 0.0], &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        let recipe = Recipe { valence_arousal_loss: AffectLoss::Ccc, valence_arousal_weight: 1.0, ..Recipe::default() };
        let found = value(&[0.0; 6], &[0.2, 9.0, 0.4, 9.0, 0.9, 9.0], &batch, &recipe);
        assert!((found - (1.0 - 2.0 * 0.053_333_3 / (0.086_666_7 + 0.046_666_7 + 0.01))).abs() < 1e-4, "{found}");
    }
}
