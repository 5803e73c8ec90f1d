//! How do curves and densities look as pictures inside the page, in its own colours, dark and light?

use std::fmt::Write as _;

use affectory_core::Expression;
use maud::{Markup, PreEscaped};

use crate::calibration::ReliabilityBin;
use crate::confusion::Class;
use crate::evaluation::{Matched, Pairs};

const SIDE: f64 = 300.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 10.0;
/// How far a curve must have gone for another point of it: what cannot be seen is only bytes.
const STEP: f64 = 1.0 / 200.0;
/// Cells of a density along each side.
const CELLS: usize = 24;

/// Cells and curves in the square of a chart, x and y from 0 to 1.
struct Chart {
    svg: String,
}

impl Chart {
    /// `ends` are the numbers at the ends of both axes.
    fn new(title: &str, x_name: &str, y_name: &str, ends: (f64, f64)) -> Self {
        let (right, bottom) = (LEFT + SIDE, TOP + SIDE);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{title}\" class=\"plot\">",
            right + 12.0,
            bottom + 42.0
        );
        for step in 0..=4 {
            let share = f64::from(step) / 4.0;
            let (x, y) = (LEFT + share * SIDE, bottom - share * SIDE);
            let number = ends.0 + share * (ends.1 - ends.0);
            // Writing into a String cannot fail.
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{x} {TOP}V{bottom}M{LEFT} {y}H{right}\"/>\
                 <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{number}</text>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{number}</text>",
                bottom + 16.0,
                LEFT - 6.0,
                y + 4.0,
            );
        }
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{x_name}</text>\
             <text transform=\"translate(11 {}) rotate(-90)\" text-anchor=\"middle\">{y_name}</text>",
            LEFT + SIDE / 2.0,
            bottom + 34.0,
            TOP + SIDE / 2.0,
        );
        Self { svg }
    }

    fn place((x, y): (f64, f64)) -> (f64, f64) {
        (LEFT + x * SIDE, TOP + (1.0 - y) * SIDE)
    }

    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let last = points.len().saturating_sub(1);
        let mut path = String::new();
        let mut drawn: Option<(f64, f64)> = None;
        for (at, &point) in points.iter().enumerate() {
            let has_moved = drawn.is_none_or(|from| (from.0 - point.0).abs() + (from.1 - point.1).abs() >= STEP);
            if has_moved || at == last {
                let (x, y) = Self::place(point);
                let _ = write!(path, "{}{x:.1} {y:.1}", if drawn.is_none() { 'M' } else { 'L' });
                drawn = Some(point);
            }
        }
        let _ = write!(self.svg, "<path class=\"line {class}\" d=\"{path}\"/>");
    }

    fn bar(&mut self, class: &str, low: (f64, f64), high: (f64, f64), opacity: f64) {
        let ((x, bottom), (right, y)) = (Self::place(low), Self::place(high));
        let _ = write!(
            self.svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" opacity=\"{opacity:.2}\"/>",
            right - x,
            bottom - y
        );
    }

    fn done(mut self) -> Markup {
        self.svg.push_str("</svg>");
        PreEscaped(self.svg)
    }
}

/// A curve of each class, with the diagonal of chance where it means something.
fn class_curves(names: [&str; 3], matched: &Matched, chance: bool, curve: impl Fn(usize) -> Vec<(f64, f64)>) -> Markup {
    let mut chart = Chart::new(names[0], names[1], names[2], (0.0, 1.0));
    if chance {
        chart.line("chance", &[(0.0, 0.0), (1.0, 1.0)]);
    }
    for class in (0..matched.labels.len()).filter(|&class| matched.can_be_said[class]) {
        let points = curve(class);
        if points.len() > 1 {
            chart.line(&format!("c{}", matched.labels[class].index()), &points);
        }
    }
    chart.done()
}

/// True positives against false positives, class by class against the rest.
pub fn roc(matched: &Matched) -> Markup {
    class_curves(["ROC curves", "false positive rate", "true positive rate"], matched, true, |class| {
        let (steps, positives, negatives) = thresholds(matched, class);
        if positives == 0.0 || negatives == 0.0 {
            return Vec::new();
        }
        let of_step = |&(hits, alarms): &(f64, f64)| (alarms / negatives, hits / positives);
        std::iter::once((0.0, 0.0)).chain(steps.iter().map(of_step)).collect()
    })
}

/// Precision against recall, class by class against the rest.
pub fn precision_recall(matched: &Matched) -> Markup {
    class_curves(["Precision-recall curves", "recall", "precision"], matched, false, |class| {
        let (steps, positives, _) = thresholds(matched, class);
        let reached = steps.iter().filter(|step| step.0 > 0.0 && positives > 0.0);
        reached.map(|&(hits, alarms)| (hits / positives, hits / (hits + alarms))).collect()
    })
}

/// Down the distinct scores of a class: hits and false alarms so far; and how many there are of both.
fn thresholds(matched: &Matched, class: usize) -> (Vec<(f64, f64)>, f64, f64) {
    let column = matched.scores.iter().skip(class).step_by(matched.labels.len().max(1));
    let is_own = |&truth: &Class| usize::from(truth) == class;
    let mut rows: Vec<(f64, bool)> = column.copied().zip(matched.score_truth.iter().map(is_own)).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut hits, mut alarms) = (0.0, 0.0);
    let mut steps = Vec::new();
    for ties in rows.chunk_by(|a, b| a.0 == b.0) {
        let n_own = ties.iter().filter(|row| row.1).count() as f64;
        hits += n_own;
        alarms += ties.len() as f64 - n_own;
        steps.push((hits, alarms));
    }
    (steps, hits, alarms)
}

/// Accuracy of each bin of confidence, against the diagonal on which both are equal.
pub fn reliability(curve: &[ReliabilityBin], scaled: Option<&[ReliabilityBin]>) -> Markup {
    let mut chart = Chart::new("Reliability diagram", "confidence", "accuracy", (0.0, 1.0));
    for bin in curve {
        chart.bar("bin", (bin.low, 0.0), (bin.high, bin.accuracy), 0.55);
    }
    chart.line("chance", &[(0.0, 0.0), (1.0, 1.0)]);
    let points = |bins: &[ReliabilityBin]| bins.iter().map(|bin| (bin.confidence, bin.accuracy)).collect::<Vec<_>>();
    chart.line("own", &points(curve));
    if let Some(scaled) = scaled {
        chart.line("scaled", &points(scaled));
    }
    chart.done()
}

/// How often each pair of true and predicted value occurs, darker where more often.
pub fn density(name: &str, pairs: &Pairs) -> Markup {
    let mut chart = Chart::new(name, "true", "predicted", (-1.0, 1.0));
    let cell = |value: f64| (((value + 1.0) / 2.0 * CELLS as f64).floor().clamp(0.0, (CELLS - 1) as f64)) as usize;
    let mut counts = [[0u32; CELLS]; CELLS];
    pairs.truth.iter().zip(&pairs.predicted).for_each(|(&t, &p)| counts[cell(t)][cell(p)] += 1);
    let most = f64::from(counts.iter().flatten().copied().max().unwrap_or(0).max(1));
    let edge = |cell: usize| cell as f64 / CELLS as f64;
    for (column, counts) in counts.iter().enumerate() {
        for (row, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let shade = 0.08 + 0.92 * (f64::from(count) / most).sqrt();
            chart.bar("bin", (edge(column), edge(row)), (edge(column + 1), edge(row + 1)), shade);
        }
    }
    chart.line("chance", &[(0.0, 0.0), (1.0, 1.0)]);
    chart.done()
}

/// The class of a label's curve, for the legend.
pub fn colour(label: Expression) -> String {
    format!("key c{}", label.index())
}
