//! How did each person's valence and arousal run over a video of any length?
//!
//! Means over bins of time. When the bins are full, two and two become one, so a plot has at most [`N_BINS`] points a person
//! and an hour takes as much memory as a minute.

use std::collections::BTreeMap;

use kuva::backend::svg::SvgBackend;
use kuva::plot::LinePlot;
use kuva::render::figure::Figure;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use crate::FaceNow;

/// Most bins of a plot.
const N_BINS: u64 = 512;

/// Width of a bin at first, seconds.
const FIRST_WIDTH: f64 = 0.1;

/// People in the plot.
const N_SHOWN: usize = 6;

/// People whose course is kept: the longest seen, and whoever came last.
const N_KEPT: usize = 64;

const COLOURS: [&str; N_SHOWN] = ["#1b6ca8", "#d1495b", "#2a9d5c", "#edae49", "#7b4fa3", "#5f6b73"];

/// Sums over one bin.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    valence: f64,
    arousal: f64,
    n: u64,
}

/// The course of everybody's affect.
#[derive(Debug, Clone)]
pub struct Timeline {
    start: Option<f64>,
    width: f64,
    faces: BTreeMap<u32, BTreeMap<u64, Bin>>,
    n_faces: usize,
    last_face: u32,
    is_proxy: bool,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { start: None, width: FIRST_WIDTH, faces: BTreeMap::new(), n_faces: 0, last_face: 0, is_proxy: false }
    }
}

impl Timeline {
    /// Takes a frame's smoothed answers in; `time` in seconds.
    pub fn add(&mut self, time: f64, faces: &[FaceNow]) {
        let since = (time - *self.start.get_or_insert(time)).max(0.0);
        // Not to be halved for ever by a time stamp that is none.
        while since / self.width >= N_BINS as f64 && self.width < 1e12 {
            self.widen();
        }
        let at = ((since / self.width) as u64).min(N_BINS - 1);
        for now in faces {
            let Some(point) = now.smooth.point() else { continue };
            self.is_proxy |= now.smooth.is_proxy;
            if now.face > self.last_face {
                (self.last_face, self.n_faces) = (now.face, self.n_faces + 1);
            }
            let bin = self.faces.entry(now.face).or_default().entry(at).or_default();
            bin.valence += f64::from(point.valence.value());
            bin.arousal += f64::from(point.arousal.value());
            bin.n += 1;
        }
        if self.faces.len() > N_KEPT {
            let here = |face: &u32| faces.iter().any(|now| now.face == *face);
            let shortest = self.faces.iter().filter(|(face, _)| !here(face)).min_by_key(|(_, bins)| length(bins));
            if let Some(face) = shortest.map(|(face, _)| *face) {
                self.faces.remove(&face);
            }
        }
    }

    fn widen(&mut self) {
        self.width *= 2.0;
        for bins in self.faces.values_mut() {
            let mut wide: BTreeMap<u64, Bin> = BTreeMap::new();
            for (at, bin) in std::mem::take(bins) {
                let sum = wide.entry(at / 2).or_default();
                sum.valence += bin.valence;
                sum.arousal += bin.arousal;
                sum.n += bin.n;
            }
            *bins = wide;
        }
    }

    /// The plot as SVG; `None` if no face had valence and arousal.
    pub fn svg(&self) -> Option<String> {
        let mut shown: Vec<(u32, &BTreeMap<u64, Bin>)> = self.faces.iter().map(|(face, bins)| (*face, bins)).collect();
        shown.sort_by_key(|(face, bins)| (std::cmp::Reverse(length(bins)), *face));
        shown.truncate(N_SHOWN);
        shown.sort_by_key(|(face, _)| *face);
        if shown.is_empty() {
            return None;
        }
        let proxy = if self.is_proxy { " (proxy)" } else { "" };
        let rest = self.n_faces.saturating_sub(shown.len());
        let title = match rest {
            0 => format!("Valence and arousal over time{proxy}"),
            _ => format!("Valence and arousal over time{proxy}: the {N_SHOWN} longest seen of {} faces", self.n_faces),
        };
        let last = shown.iter().filter_map(|(_, bins)| bins.keys().last()).max().copied().unwrap_or(0);
        let start = self.start.unwrap_or(0.0);
        let panel = |name: &str, value: fn(&Bin) -> f64, is_first: bool| {
            let mut plots = Vec::new();
            for ((face, bins), colour) in shown.iter().zip(COLOURS) {
                for (number, part) in self.parts(bins, value).into_iter().enumerate() {
                    let line = LinePlot::new().with_data(part).with_color(colour).with_stroke_width(1.6);
                    let is_named = is_first && number == 0;
                    plots.push(Plot::Line(if is_named { line.with_legend(format!("face {face}")) } else { line }));
                }
            }
            let layout = Layout::auto_from_plots(&plots)
                .with_x_axis_min(start)
                .with_x_axis_max(start + (last + 1) as f64 * self.width)
                .with_y_axis_min(-1.0)
                .with_y_axis_max(1.0)
                .with_x_label("seconds")
                .with_y_label(format!("{name}{proxy}"));
            (plots, layout)
        };
        let (valence, above) = panel("valence", |bin| bin.valence / bin.n as f64, true);
        let (arousal, below) = panel("arousal", |bin| bin.arousal / bin.n as f64, false);
        let figure = Figure::new(2, 1).with_title(title).with_plots(vec![valence, arousal]);
        let figure =
            figure.with_layouts(vec![above, below]).with_figure_size(1000.0, 620.0).with_shared_legend_bottom();
        Some(SvgBackend.render_scene(&figure.render()))
    }

    /// Points of a line for each time that a person was seen without a gap.
    fn parts(&self, bins: &BTreeMap<u64, Bin>, value: fn(&Bin) -> f64) -> Vec<Vec<(f64, f64)>> {
        let start = self.start.unwrap_or(0.0);
        let mut parts: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut last = None;
        for (at, bin) in bins {
            let point = (start + (*at as f64 + 0.5) * self.width, value(bin));
            match parts.last_mut() {
                Some(part) if last.is_some_and(|last: u64| at - last <= 1) => part.push(point),
                _ => parts.push(vec![point]),
            }
            last = Some(*at);
        }
        parts
    }
}

/// Frames in which somebody was seen.
fn length(bins: &BTreeMap<u64, Bin>) -> u64 {
    bins.values().map(|bin| bin.n).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use affectory_core::{BoundingBox, ValenceArousal};
    use affectory_learn::Prediction;

    fn face(number: u32, valence: f32) -> FaceNow {
        let point = ValenceArousal::clamped(valence, 0.0);
        let answer = Prediction {
            expression: None,
            probabilities: Vec::new(),
            valence: Some(point.valence),
            arousal: Some(point.arousal),
            is_proxy: true,
        };
        let bounding_box = BoundingBox::whole(9, 9);
        FaceNow { face: number, bounding_box, score: None, raw: answer.clone(), smooth: answer }
    }

    #[test]
    fn ten_hours_take_as_many_bins_as_a_minute_and_lose_no_frame() {
        let mut timeline = Timeline::default();
        for second in 0..36_000 {
            timeline.add(f64::from(second), &[face(1, 0.25)]);
        }
        let bins = &timeline.faces[&1];
        assert!((N_BINS / 4..=N_BINS).contains(&(bins.len() as u64)), "{}", bins.len());
        assert_eq!(length(bins), 36_000);
        assert!(bins.values().all(|bin| (bin.valence / bin.n as f64 - 0.25).abs() < 1e-9));
        assert!(timeline.svg().is_some_and(|svg| svg.contains("proxy")));
    }

    #[test]
    fn lines_break_where_nobody_was_seen_and_crowds_are_bounded() {
        let mut timeline = Timeline::default();
        for at in 0..40 {
            let seen = if (10..20).contains(&at) { Vec::new() } else { vec![face(1, 0.0)] };
            timeline.add(f64::from(at) * 0.1, &seen);
        }
        assert_eq!(timeline.parts(&timeline.faces[&1], |_| 0.0).len(), 2);
        for number in 2..500 {
            timeline.add(4.0, &[face(number, 0.0)]);
        }
        assert!(timeline.faces.len() <= N_KEPT && timeline.faces.contains_key(&1));
        assert!(timeline.svg().is_some_and(|svg| svg.contains("6 longest seen of 499 faces")));
        assert_eq!(Timeline::default().svg(), None);
    }
}
