//! Where on the way from a hit to a face do how many drop out, and why?

use maud::{Markup, html};

use super::super::Report;
use super::text::{number, percent, shown, table};

pub(super) fn section(report: &Report) -> Markup {
    let first = report.steps.first().map_or(0, |step| step.count);
    let before = std::iter::once(None).chain(report.steps.iter().map(|step| Some(step.count)));
    let images = &report.images;
    html! {
        (table("steps", &html! { "From hits to faces. Each step is part of the one before." }, &html! {
            thead { tr {
                th scope="col" { "step" }
                th.n scope="col" { "count" }
                th.n scope="col" { "of the step before" }
                th.n scope="col" { "of all hits" }
                td.share aria-hidden="true" {}
            } }
            tbody {
                @for (step, before) in report.steps.iter().zip(before) {
                    tr {
                        th scope="row" { (step.name) }
                        td.n { (number(step.count)) }
                        td.n { @if let Some(before) = before { (percent(step.count, before)) } }
                        td.n { (percent(step.count, first)) }
                        td.share aria-hidden="true" { span style={ "width:" (width(step.count, first)) "%" } {} }
                    }
                }
            }
        }))
        p {
            (number(images.waiting)) " images have not been looked at yet. "
            (number(images.dropped)) " images without a usable face were dropped from the store, "
            (number(images.withdrawn)) " were withdrawn."
        }
        h3 { "Why" }
        div.columns {
            (table("left-out", &html! { "Results of search engines that became no address." }, &html! {
                thead { tr {
                    th scope="col" { "reason" } th scope="col" { "provider" } th.n scope="col" { "results" }
                } }
                tbody {
                    @for row in &report.left_out {
                        tr {
                            th scope="row" { (left_out(&row.reason)) }
                            td { bdi dir="auto" { (shown(&row.provider, 40)) } }
                            td.n { (number(row.results)) }
                        }
                    }
                    @if report.left_out.is_empty() { tr { td colspan="3" { "none recorded" } } }
                }
            }))
            (table("outcomes", &html! { "How the last attempt at each address ended." }, &html! {
                thead { tr {
                    th scope="col" { "outcome" } th scope="col" { "then" } th.n scope="col" { "addresses" }
                    th.n scope="col" { "share" }
                } }
                tbody {
                    @for row in sorted(report) {
                        tr {
                            th scope="row" { (row.outcome.as_deref().map_or("not tried yet".into(), |o| shown(o, 40))) }
                            td { (state(&row.state)) }
                            td.n { (number(row.candidates)) }
                            td.n { (percent(row.candidates, report.totals.addresses)) }
                        }
                    }
                }
            }))
            (table("unusable", &html! { "Images without a usable face." }, &html! {
                thead { tr {
                    th scope="col" { "reason" } th.n scope="col" { "images" } th.n scope="col" { "share" }
                    th.n scope="col" { "dropped" }
                } }
                tbody {
                    @for row in &report.unusable {
                        tr {
                            th scope="row" { (reason(&row.reason)) }
                            td.n { (number(row.images)) }
                            td.n { (percent(row.images, images.images)) }
                            td.n { (number(row.dropped)) }
                        }
                    }
                    @if report.unusable.is_empty() { tr { td colspan="4" { "none recorded" } } }
                }
            }))
        }
    }
}

fn sorted(report: &Report) -> Vec<&affectory_catalog::OutcomeCount> {
    let mut rows: Vec<_> = report.outcomes.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.candidates));
    rows
}

/// Percent of the longest bar, with a visible rest of what is not nothing.
fn width(count: u64, of: u64) -> String {
    let share = if of == 0 { 0.0 } else { 100.0 * count as f64 / of as f64 };
    format!("{:.1}", if count > 0 { share.clamp(0.4, 100.0) } else { 0.0 })
}

fn state(state: &str) -> &str {
    match state {
        "new" => "waiting",
        "fetched" => "fetched",
        "rejected" => "no image to be hoped for",
        "failed" => "given up after several attempts",
        other => other,
    }
}

fn left_out(reason: &str) -> &str {
    match reason {
        "not-a-result" => "not a result: nothing could be read from it",
        "no-image" => "names no image",
        "bad-url" => "the address is none",
        "forbidden-scheme" => "the address is neither http nor https",
        "user-info" => "the address holds a user name or password",
        "long-url" => "the address is too long",
        "other-license" => "another licence than those asked for, or none stated",
        "not-wanted" => "beyond the results that were wanted of a query",
        "excluded-host" => "of a host from which nothing is taken",
        "missing-part" => "a part of the answer was missing",
        other => other,
    }
}

fn reason(reason: &str) -> &str {
    match reason {
        "no-face" => "no face found",
        "small-faces" => "all faces too small",
        "unreadable" => "could not be decoded",
        other => other,
    }
}
