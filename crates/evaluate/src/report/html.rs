//! How do figures become a page? Pure functions to text; what came from outside is escaped by the template engine, cut,
//! and isolated from the writing direction around it.

use affectory_core::Expression;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{EvaluationReport, charts};
use crate::bootstrap::Interval;
use crate::calibration::{Calibration, calibration};
use crate::comparison::RunComparison;
use crate::confusion::Class;
use crate::evaluation::Evaluation;
use crate::intervals::Intervals;
use crate::label_errors::Disagreement;
use crate::metric::{ClassFigure, Dimension, LabelFigure, Metric, RankingFigure};
use crate::ranking::Scores;
use crate::records::shortened;
use crate::render::{Format, bounds, decimal};
use crate::subgroup::{GROUP_METRICS, MIN_IMAGES_FOR_GAP, Subgroups};
use crate::temperature::apply_temperature;

const STYLE: &str = include_str!("style.css");

/// Nothing is loaded and nothing runs, whatever a name from outside says.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// The whole file about one prediction.
pub fn evaluation_html(report: &EvaluationReport<'_>) -> String {
    let evaluation = report.matched.evaluation();
    let title = format!("Evaluation: {}", shortened(report.title));
    let content = html! {
        (what_was_done(report, &evaluation))
        section { h2 { "Figures" } (figures(&evaluation, report.intervals)) (ceiling(report)) }
        @if !report.matched.truth.is_empty() {
            section { h2 { "Confusion matrix" } (confusion(&evaluation, "Confusion matrix")) }
            section { h2 { "By class" } (classes(&evaluation, report)) }
        }
        @if !report.matched.scores.is_empty() { section { h2 { "Ranking" } (ranking(report)) } }
        (calibration_section(report))
        (dimensions(report))
        @if !report.subgroups.is_empty() { section { h2 { "Subgroups" } (subgroups(report.subgroups)) } }
        (disagreements(report))
    };
    page(&title, report.version, &content)
}

/// The whole file about several runs.
pub fn comparison_html(comparison: &RunComparison, version: &str) -> String {
    let content = html! {
        @for (title, cells) in comparison.all_cells(Format::Markdown) {
            section {
                h2 { (title) }
                div.scroll tabindex="0" role="region" aria-label=(title) {
                    table {
                        thead { tr {
                            @for (place, cell) in cells[0].iter().enumerate() {
                                th.n[place > 0] scope="col" { (cell) }
                            }
                        } }
                        tbody { @for row in &cells[1..] { tr {
                            th scope="row" { bdi { (shortened(&row[0])) } }
                            @for cell in &row[1..] { td.n {
                                @match cell.split_once(' ') {
                                    Some((value, bounds)) => { (value) span.bounds { (bounds) } }
                                    None => (cell),
                                }
                            } }
                        } } }
                    }
                }
            }
        }
        @for run in comparison.runs.iter().filter(|run| run.evaluation.accuracy.is_some()) {
            @let name = shortened(&run.name);
            section {
                h2 { "Confusion matrix: " bdi { (name) } }
                (confusion(&run.evaluation, &format!("Confusion matrix of {name}")))
            }
        }
        section { h2 { "What the numbers are" } ul { @for note in comparison.notes() { li { (note) } } } }
    };
    page("Comparison of runs", version, &content)
}

fn page(title: &str, version: &str, content: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex";
                meta name="generator" content="affectory";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { bdi dir="auto" { (title) } }
                main { (content) }
                footer { p { "Made by affectory " (version) "." } }
            }
        }
    }
    .into_string()
}

fn what_was_done(report: &EvaluationReport<'_>, evaluation: &Evaluation) -> Markup {
    let bootstrap = report.intervals.bootstrap;
    html! {
        p.lead {
            (evaluation.n) " images scored; " (evaluation.n_left_out) " left out, as their true label is not among the "
            (evaluation.labels.len()) " scored; " (evaluation.n_missing) " without an answer or a value. Intervals: "
            (format!("{:.0}", bootstrap.confidence * 100.0)) " % percentile intervals of " (bootstrap.n_resamples)
            " bootstrap resamples of images, seed " (bootstrap.seed) ". Truth: " bdi { (shortened(&report.truth.file)) }
            "; affectory " (report.version) "."
        }
    }
}

fn with_bounds(value: Option<f64>, interval: Option<Interval>) -> Markup {
    html! { (decimal(value)) @if let Some(interval) = interval { span.bounds { (bounds(interval)) } } }
}

fn figures(evaluation: &Evaluation, intervals: &Intervals) -> Markup {
    let defined = |metrics: Vec<Metric>| -> Vec<Metric> {
        metrics.into_iter().filter(|metric| metric.of(evaluation).is_some()).collect()
    };
    let mut plain = LabelFigure::ALL.map(Metric::Label).to_vec();
    plain.extend([RankingFigure::Auc, RankingFigure::AucPr].map(Metric::Ranking));
    let mut even = LabelFigure::SKEW_NORMALISED.map(Metric::SkewNormalised).to_vec();
    even.push(Metric::SkewNormalisedAucPr);
    let values = Metric::all(0).into_iter().filter(|metric| matches!(metric, Metric::Value(..))).collect();
    let parts = [("Categories", plain), ("Categories, skew-normalised", even), ("Valence and arousal", values)];
    html! {
        div.columns {
            @for (caption, metrics) in parts.map(|(caption, metrics)| (caption, defined(metrics))) {
                @if !metrics.is_empty() {
                    table {
                        caption { (caption) }
                        tbody { @for metric in metrics { tr {
                            th scope="row" { (metric.name().replace(", skew-normalised", "")) }
                            td.n { (with_bounds(metric.of(evaluation), intervals.of(metric))) }
                        } } }
                    }
                }
            }
        }
    }
}

fn ceiling(report: &EvaluationReport<'_>) -> Markup {
    html! { @if let Some(ceiling) = report.ceiling {
        p {
            "One annotator against the others, for comparison: a single vote is the plurality of the rest with a chance of "
            strong { (decimal(ceiling.accuracy)) }
            @if let Some(interval) = ceiling.accuracy_interval { " " (bounds(interval)) }
            @for figure in [LabelFigure::BalancedAccuracy, LabelFigure::F1Macro, LabelFigure::Kappa] {
                @let (value, interval) = ceiling.of(Metric::Label(figure)).unwrap_or_default();
                ", " (figure.name()) " " (decimal(value)) @if let Some(interval) = interval { " " (bounds(interval)) }
            }
            " (" (ceiling.n) " images with two votes or more; ties count in parts)."
        }
    } }
}

fn confusion(evaluation: &Evaluation, name: &str) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table {
                caption { "Truth by row, prediction by column: share of the row, and images" }
                thead { tr { th {} @for label in &evaluation.labels { th.n scope="col" { (label) } } } }
                tbody { @for (label, row) in evaluation.labels.iter().zip(&evaluation.confusion) {
                    @let total = row.iter().sum::<u64>();
                    tr {
                        th scope="row" { (label) }
                        @for &count in row {
                            @let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
                            td.n.shaded style={ "--share:" (format!("{share:.3}")) } {
                                (format!("{:.0} %", share * 100.0)) span.bounds { (count) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn classes(evaluation: &Evaluation, report: &EvaluationReport<'_>) -> Markup {
    let intervals = report.intervals;
    let columns: [fn(Class) -> Metric; 5] = [
        |class| Metric::Class(ClassFigure::Precision, class),
        |class| Metric::Class(ClassFigure::Recall, class),
        |class| Metric::Class(ClassFigure::F1, class),
        |class| Metric::ClassRanking(RankingFigure::Auc, class),
        |class| Metric::ClassRanking(RankingFigure::AucPr, class),
    ];
    html! {
        div.scroll tabindex="0" role="region" aria-label="Figures by class" {
            table {
                thead { tr {
                    th {} @for column in columns { th.n scope="col" { (column(0).name()) } }
                    @if report.ceiling.is_some() { th.n scope="col" { "recall, one annotator" } }
                    th.n scope="col" { "images" }
                } }
                tbody { @for (class, label) in evaluation.labels.iter().enumerate() { tr {
                    th scope="row" { (label) }
                    @for metric in columns.map(|column| column(class as Class)) {
                        td.n { (with_bounds(metric.of(evaluation), intervals.of(metric))) }
                    }
                    @if let Some(ceiling) = report.ceiling {
                        @let (value, interval) = ceiling.of(columns[1](class as Class)).unwrap_or_default();
                        td.n { (with_bounds(value, interval)) }
                    }
                    td.n { (evaluation.confusion[class].iter().sum::<u64>()) }
                } } }
            }
        }
    }
}

fn ranking(report: &EvaluationReport<'_>) -> Markup {
    html! {
        (legend(&report.matched.labels))
        div.columns {
            figure { (charts::roc(report.matched)) figcaption { "ROC: each class against the rest" } }
            figure { (charts::precision_recall(report.matched)) figcaption { "Precision and recall: each class against the rest" } }
        }
    }
}

fn legend(labels: &[Expression]) -> Markup {
    html! { ul.keys { @for label in labels { li class=(charts::colour(*label)) { span { (label) } } } } }
}

fn calibration_section(report: &EvaluationReport<'_>) -> Markup {
    let (matched, n_classes) = (report.matched, report.matched.labels.len());
    let Some(probabilities) = matched.probabilities() else { return html! {} };
    let Some(scores) = Scores::new(&probabilities, n_classes) else { return html! {} };
    let Some(found) = calibration(&matched.score_truth, scores) else { return html! {} };
    let scaled = report.temperature.and_then(|(fitted, _)| {
        let values = apply_temperature(scores, fitted.temperature);
        calibration(&matched.score_truth, Scores::new(&values, n_classes)?)
    });
    let mut rows: Vec<(&str, &Calibration)> = vec![("as predicted", &found)];
    rows.extend(scaled.as_ref().map(|scaled| ("temperature-scaled", scaled)));
    html! { section {
        h2 { "Calibration" }
        div.columns {
            figure {
                (charts::reliability(&found.curve, scaled.as_ref().map(|scaled| scaled.curve.as_slice())))
                @if scaled.is_some() {
                    ul.keys {
                        li.key.own { span { "as predicted" } }
                        li.key.scaled { span { "temperature-scaled" } }
                    }
                }
                figcaption { "Accuracy by confidence in bins of equal width; on the dashed line both are equal" }
            }
            div {
                table {
                    thead { tr {
                        th {} @for name in ["ECE", "MCE", "adaptive ECE", "log loss", "Brier"] { th.n scope="col" { (name) } }
                    } }
                    tbody { @for (name, figures) in rows { tr {
                        th scope="row" { (name) }
                        @for value in [figures.ece, figures.mce, figures.adaptive_ece, figures.log_loss, figures.brier] {
                            td.n { (decimal(Some(value))) }
                        }
                    } } }
                }
                @if let Some((fitted, file)) = report.temperature {
                    p { "Temperature " (decimal(Some(fitted.temperature))) ", fitted on " bdi { (shortened(file)) } "." }
                }
                table {
                    caption { "Bins" }
                    thead { tr { @for name in ["confidence", "mean", "accuracy", "images"] { th.n scope="col" { (name) } } } }
                    tbody { @for bin in &found.curve { tr {
                        td.n { (format!("{:.2} to {:.2}", bin.low, bin.high)) }
                        td.n { (decimal(Some(bin.confidence))) } td.n { (decimal(Some(bin.accuracy))) } td.n { (bin.n) }
                    } } }
                }
            }
        }
    } }
}

fn dimensions(report: &EvaluationReport<'_>) -> Markup {
    let both = [(Dimension::Valence, &report.matched.valence), (Dimension::Arousal, &report.matched.arousal)];
    html! { @if both.iter().any(|(_, pairs)| !pairs.rows.is_empty()) { section {
        h2 { "Valence and arousal" }
        div.columns { @for (dimension, pairs) in both { @if !pairs.rows.is_empty() {
            figure {
                (charts::density(dimension.name(), pairs))
                figcaption { (dimension.name()) " of " (pairs.rows.len()) " images: predicted against true" }
            }
        } } }
    } } }
}

fn subgroups(columns: &[Subgroups]) -> Markup {
    html! { @for column in columns {
        h3 { bdi { (column.name) } }
        div.scroll tabindex="0" role="region" aria-label="Subgroups" {
            table {
                thead { tr {
                    th {} @for metric in GROUP_METRICS { th.n scope="col" { (metric.name()) } } th.n scope="col" { "images" }
                } }
                tbody { @for group in &column.groups { tr {
                    th scope="row" { @if group.value.is_empty() { "(not given)" } @else { bdi { (group.value) } } }
                    @for (value, interval) in &group.figures { td.n { (with_bounds(*value, *interval)) } }
                    td.n { (group.n) }
                } } }
            }
        }
        @for gap in &column.gaps {
            p {
                "Largest gap in " (gap.metric) ": " strong { (decimal(Some(gap.difference))) } ", from " bdi { (gap.best) }
                " to " bdi { (gap.worst) } " (subgroups of at least " (MIN_IMAGES_FOR_GAP) " images)."
            }
        }
        @if column.n_other_values > 0 { p { (column.n_other_values) " more values with fewer images are not shown." } }
    } }
}

fn disagreements(report: &EvaluationReport<'_>) -> Markup {
    let parts = [
        ("Surest errors", "Wrong predictions with the highest probability.", report.surest_errors),
        (
            "Likely label errors",
            "The given label is less probable than is usual where it is given, and another one as probable as is usual \
             where it is (confident learning, Northcutt et al. 2021). Only sound if the model has not learnt from these \
             images; look before you change a label.",
            report.label_errors,
        ),
    ];
    html! { @for (title, text, errors) in parts { @if !errors.is_empty() { section {
        h2 { (title) }
        p { (text) }
        (error_list(report, errors))
    } } } }
}

fn error_list(report: &EvaluationReport<'_>, errors: &[Disagreement]) -> Markup {
    let name = |error: &Disagreement| report.truth.rows.get(error.row as usize).map_or("", |row| row.image.as_str());
    let pictures: Vec<Option<String>> = errors.iter().map(|error| (report.picture)(name(error))).collect();
    let line = |error: &Disagreement| {
        html! {
            "given " strong { (error.given) } " " (decimal(Some(error.p_given))) ", said " strong { (error.said) } " "
            (decimal(Some(error.p_said)))
        }
    };
    if pictures.iter().all(Option::is_none) {
        return html! { div.scroll tabindex="0" role="region" aria-label="Images" { table { tbody {
            @for error in errors { tr { th scope="row" { bdi { (shortened(name(error))) } } td { (line(error)) } } }
        } } } };
    }
    html! { ul.sheet { @for (error, picture) in errors.iter().zip(pictures) { li {
        @if let Some(picture) = picture { img src=(picture) alt="" loading="lazy"; }
        (line(error)) br; small { bdi { (shortened(name(error))) } }
    } } } }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use affectory_core::LabelSet;

    use super::*;
    use crate::bootstrap::Bootstrap;
    use crate::{
        Missing, intervals, likely_label_errors, match_images, read_table, subgroups as groups_of, surest_errors,
    };

    #[test]
    fn hostile_names_are_text_and_the_page_loads_nothing() {
        let (mut truth, mut guess) = (
            String::from("image,expression,valence,arousal,group_skin\n"),
            String::from("image,p_happy,p_sad,valence,arousal\n"),
        );
        for row in 0..400 {
            let label = ["happy", "sad"][row % 2];
            let value = row as f64 / 200.0 - 1.0;
            let _ = writeln!(truth, "<script>{row}</script>,{label},{value},{value},<img src=x onerror=y>");
            let happy = if row % 2 == 0 { 0.7 } else { 0.1 + (row % 80) as f64 / 100.0 };
            let _ = writeln!(guess, "<script>{row}</script>,{happy},{},{value},0.1", 1.0 - happy);
        }
        let table = |text: &str, file| read_table(text.as_bytes(), file).unwrap();
        let (truth, guess) = (table(&truth, "<b>truth"), table(&guess, "p"));
        let labels = LabelSet::parse("happy,sad").unwrap();
        let matched = match_images(&truth, &guess, &labels, None, Missing::Refused).unwrap();
        let bootstrap = Bootstrap { n_resamples: 100, confidence: 0.95, seed: 1 };
        let page = evaluation_html(&EvaluationReport {
            title: "</title><script>alert(1)</script>",
            version: "0",
            truth: &truth,
            matched: &matched,
            intervals: &intervals(&matched, bootstrap),
            ceiling: None,
            temperature: None,
            subgroups: &groups_of(&matched, &truth, bootstrap),
            surest_errors: &surest_errors(&matched, 20),
            label_errors: &likely_label_errors(&matched, 20),
            picture: &|_| None,
        });
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"), "{page}");
        assert!(page.contains("&lt;script&gt;") && page.contains("default-src 'none'"));
        assert!(!page.contains("NaN") && !page.contains("http://") && !page.contains("https://"));
        for heading in ["Figures", "Confusion matrix", "Ranking", "Calibration", "Valence and arousal", "Subgroups"] {
            assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
        }
        assert!(page.contains("Surest errors") && page.contains("Likely label errors"));
    }
}
