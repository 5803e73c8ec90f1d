//! How fast did fetching go over time?

use affectory_catalog::PaceRow;
use maud::{Markup, html};

use super::super::Report;
use super::text::{number, utc};

/// Bars at most.
const BARS: i64 = 120;
const MINUTE_MS: i64 = 60_000;
/// The drawing in its own units, and where the plot lies in it.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 752.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 160.0;

pub(super) fn section(report: &Report) -> Markup {
    let pace = &report.pace;
    let (Some(first), Some(last)) = (pace.first(), pace.last()) else {
        return html! { p.empty { "Nothing has been fetched yet." } };
    };
    let images: u64 = pace.iter().map(|row| row.images).sum();
    let best = pace.iter().map(|row| row.images).max().unwrap_or(0);
    let mut by_minute: Vec<u64> = pace.iter().map(|row| row.images).collect();
    by_minute.sort_unstable();
    let median = by_minute[by_minute.len() / 2];
    let span = Span::of(first.start_ms, last.start_ms);
    let bars = span.bars(pace);
    html! {
        p {
            (number(images)) " fetches brought an image in " (number(pace.len() as u64)) " minutes of fetching, "
            "between " (utc(first.start_ms)) " and " (utc(last.start_ms + MINUTE_MS)) "; median " (number(median))
            ", most " (number(best)) " images in a minute."
        }
        (chart("pace", "Images per minute", &format!("Each bar is the mean of {}.", minutes(span.step)), &span,
            bars.iter().map(|bar| bar.per_minute).fold(0.0, f64::max), |scale| html! {
                @for (idx, bar) in bars.iter().enumerate() {
                    @let (x, wide) = (span.x(idx as i64), (span.x(idx as i64 + 1) - span.x(idx as i64)).min(40.0));
                    @let y = scale(bar.per_minute);
                    @if bar.per_minute > 0.0 {
                        rect.bar x=(unit(x)) y=(unit(y)) width=(unit((wide - 1.0).max(0.8))) height=(unit(BOTTOM - y)) {}
                    }
                }
            }))
        (chart("cumulative", "Images in all", "Fetches that brought an image, added up.", &span, images as f64, |scale| {
            let mut points = format!("{},{}", unit(span.x(0)), unit(scale(0.0)));
            let mut sum = 0;
            for (idx, bar) in bars.iter().enumerate() {
                sum += bar.images;
                points += &format!(" {},{}", unit(span.x(idx as i64 + 1)), unit(scale(sum as f64)));
            }
            html! { polyline.line points=(points) {} }
        }))
    }
}

/// The time that a chart covers.
struct Span {
    first_ms: i64,
    minutes: i64,
    /// Minutes of one bar.
    step: i64,
}

struct Bar {
    images: u64,
    per_minute: f64,
}

impl Span {
    fn of(first_ms: i64, last_ms: i64) -> Span {
        let minutes = (last_ms - first_ms).max(0) / MINUTE_MS + 1;
        let step = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].into_iter().find(|step| minutes <= step * BARS);
        Span { first_ms, minutes, step: step.unwrap_or_else(|| (minutes / BARS / 1440 + 1) * 1440) }
    }

    fn bars(&self, pace: &[PaceRow]) -> Vec<Bar> {
        let n_bars = (self.minutes + self.step - 1) / self.step;
        let mut bars: Vec<Bar> = (0..n_bars).map(|_| Bar { images: 0, per_minute: 0.0 }).collect();
        for row in pace {
            let idx = usize::try_from((row.start_ms - self.first_ms) / MINUTE_MS / self.step).unwrap_or(0);
            if let Some(bar) = bars.get_mut(idx) {
                bar.images += row.images;
            }
        }
        for (idx, bar) in (0..).zip(&mut bars) {
            // The last bar may cover less.
            bar.per_minute = bar.images as f64 / self.step.min(self.minutes - idx * self.step).max(1) as f64;
        }
        bars
    }

    /// Where a bar begins.
    fn x(&self, bar: i64) -> f64 {
        LEFT + (RIGHT - LEFT) * ((bar * self.step) as f64 / self.minutes as f64).min(1.0)
    }
}

/// Frame, axes and words of a chart; `marks` draws what is in it, given the way from a value to a height.
fn chart(
    id: &str,
    title: &str,
    about: &str,
    span: &Span,
    most: f64,
    marks: impl FnOnce(&dyn Fn(f64) -> f64) -> Markup,
) -> Markup {
    let top = round_up(most);
    let scale = |value: f64| BOTTOM - (BOTTOM - TOP) * value / top;
    let ends = [
        (LEFT, "start", span.first_ms),
        ((LEFT + RIGHT) / 2.0, "middle", span.first_ms + span.minutes * MINUTE_MS / 2),
        (RIGHT, "end", span.first_ms + span.minutes * MINUTE_MS),
    ];
    html! {
        figure.chart {
            figcaption id={ "chart-" (id) } { strong { (title) } " " (about) }
            div.scroll role="region" tabindex="0" aria-labelledby={ "chart-" (id) } {
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ (title) ", highest " (number(most.round() as u64)) } {
                    @for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
                        @let y = unit(scale(top * part));
                        line.grid x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {}
                        @if part != 0.25 && part != 0.75 {
                            text x=(LEFT - 6.0) y=(y) dy="0.32em" text-anchor="end" { (tick(top * part)) }
                        }
                    }
                    (marks(&scale))
                    @for (x, anchor, ms) in ends {
                        text x=(x) y=(BOTTOM + 20.0) text-anchor=(anchor) { (utc(ms)) }
                    }
                }
            }
        }
    }
}

/// The next of 1, 2, 4, 5, 10, 20, ... that is not less.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1.0).log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|top| *top >= value).unwrap_or(10.0 * power)
}

fn tick(value: f64) -> String {
    if value.fract() == 0.0 { number(value as u64) } else { format!("{value:.1}") }
}

fn unit(value: f64) -> String {
    format!("{value:.1}")
}

fn minutes(n: i64) -> String {
    match n {
        1 => "one minute".to_owned(),
        n if n % 1440 == 0 => format!("{} days", n / 1440),
        n if n % 60 == 0 => format!("{} hours", n / 60),
        n => format!("{n} minutes"),
    }
}
