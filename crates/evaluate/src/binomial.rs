//! How many of n tries succeed, drawn at random: the step that multinomial resamples are made of?

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// A draw from the binomial distribution, exact and in constant time: inversion below an expectation of 10,
/// otherwise transformed rejection (BTRS; Hoermann 1993, Journal of Statistical Computation and Simulation 46).
/// `p` outside [0, 1] counts as the nearer end.
pub(crate) fn binomial(random: &mut ChaCha8Rng, n: u64, p: f64) -> u64 {
    if n == 0 || p <= 0.0 {
        0
    } else if p >= 1.0 {
        n
    } else if p > 0.5 {
        n - rare(random, n, 1.0 - p)
    } else {
        rare(random, n, p)
    }
}

/// For `p` in (0, 0.5].
fn rare(random: &mut ChaCha8Rng, n: u64, p: f64) -> u64 {
    if n as f64 * p < 10.0 { invert(random, n, p) } else { reject(random, n, p) }
}

/// Walks up the probabilities until the uniform number is spent.
fn invert(random: &mut ChaCha8Rng, n: u64, p: f64) -> u64 {
    let odds = p / (1.0 - p);
    loop {
        let (mut left, mut term) = (random.random::<f64>(), (n as f64 * (-p).ln_1p()).exp());
        for k in 0..=n {
            if left < term {
                return k;
            }
            left -= term;
            term *= odds * (n - k) as f64 / (k + 1) as f64;
        }
        // Roundings left more than all probabilities together: a number so near to 1 is drawn again.
    }
}

fn reject(random: &mut ChaCha8Rng, n: u64, p: f64) -> u64 {
    let (n, odds) = (n as f64, p / (1.0 - p));
    let spread = (n * p * (1.0 - p)).sqrt();
    let b = 1.15 + 2.53 * spread;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let (centre, mode) = (n * p + 0.5, ((n + 1.0) * p).floor());
    let (box_height, alpha) = (0.92 - 4.2 / b, (2.83 + 5.1 / b) * spread);
    loop {
        let (u, v) = (random.random::<f64>() - 0.5, random.random::<f64>());
        let margin = 0.5 - u.abs();
        let k = ((2.0 * a / margin + b) * u + centre).floor();
        if !(0.0..=n).contains(&k) {
            continue;
        }
        if margin >= 0.07 && v <= box_height {
            return k as u64;
        }
        let drawn = (v * alpha / (a / (margin * margin) + b)).ln();
        let bound = (mode + 0.5) * ((mode + 1.0) / (odds * (n - mode + 1.0))).ln()
            + (n + 1.0) * ((n - mode + 1.0) / (n - k + 1.0)).ln()
            + (k + 0.5) * (odds * (n - k + 1.0) / (k + 1.0)).ln()
            + stirling_tail(mode)
            + stirling_tail(n - mode)
            - stirling_tail(k)
            - stirling_tail(n - k);
        if drawn <= bound {
            return k as u64;
        }
    }
}

/// What Stirling's formula for `ln k!`, written about k + 1, leaves: exact to 1e-9 (the reference's table below 10).
fn stirling_tail(k: f64) -> f64 {
    const TABLE: [f64; 10] = [
        0.081_061_466_795_327_26,
        0.041_340_695_955_409_29,
        0.027_677_925_684_998_34,
        0.020_790_672_103_765_09,
        0.016_644_691_189_821_19,
        0.013_876_128_823_070_75,
        0.011_896_709_945_891_77,
        0.010_411_265_261_972_09,
        0.009_255_462_182_712_733,
        0.008_330_563_433_362_87,
    ];
    match TABLE.get(k as usize) {
        Some(tail) => *tail,
        None => {
            let square = (k + 1.0) * (k + 1.0);
            (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / (k + 1.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Pearson's chi-square of 200,000 draws against the probabilities, cells pooled up to an expectation of 20.
    fn chi_square_per_degree(n: u64, p: f64) -> f64 {
        const DRAWS: usize = 200_000;
        let mut random = ChaCha8Rng::seed_from_u64(n ^ p.to_bits());
        let mut drawn = vec![0.0; n as usize + 1];
        (0..DRAWS).for_each(|_| drawn[binomial(&mut random, n, p) as usize] += 1.0);
        let ln_factorial = |k: u64| (1..=k).map(|i| (i as f64).ln()).sum::<f64>();
        let (mut sum, mut cells) = (0.0, 0.0);
        let (mut pooled, mut expected) = (0.0, 0.0);
        for (k, found) in drawn.iter().enumerate() {
            let k = k as u64;
            let ln = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
            pooled += found;
            expected += DRAWS as f64 * (ln + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p()).exp();
            if expected > 20.0 {
                sum += (pooled - expected) * (pooled - expected) / expected;
                cells += 1.0;
                (pooled, expected) = (0.0, 0.0);
            }
        }
        sum / (cells - 1.0)
    }

    #[test]
    fn draws_have_the_probabilities_of_the_distribution() {
        // Chi-square over its degrees of freedom is 1 +- sqrt(2 / degrees); 2 would be five of those or more.
        for (n, p) in [(12, 0.3), (40, 0.25), (40, 0.8), (25, 0.5), (500, 0.03), (900, 0.4), (2000, 0.999)] {
            let found = chi_square_per_degree(n, p);
            assert!(found < 2.0, "n = {n}, p = {p}: {found}");
        }
    }

    #[test]
    fn what_cannot_vary_does_not() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        assert_eq!([binomial(&mut random, 0, 0.5), binomial(&mut random, 9, 0.0)], [0, 0]);
        assert_eq!([binomial(&mut random, 9, 1.0), binomial(&mut random, 9, 1.0 + 1e-12)], [9, 9]);
    }
}
