//! What did engines, languages and queries find, and what do annotators say of it?

use affectory_catalog::{AddressCounts, QueryCount};
use affectory_core::Expression;
use maud::{Markup, html};

use super::super::{Axis, Crossing, IntentRow, Report};
use super::text::{expression_name, foreign, language_name, number, percent, shown, table};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        p {
            "In each cell: addresses; how many brought an image, and their share; how many of those have a usable face, "
            "and their share. An address that several searches found counts in each of their cells and once in each sum. "
            "An image under several addresses counts for each."
        }
        @for crossing in &report.crossings { (crossed(report, crossing)) }
    }
}

fn crossed(report: &Report, crossing: &Crossing) -> Markup {
    let (by, across) = (axis_name(crossing.by), axis_name(crossing.across));
    let rows = || crossing.rows.iter().zip(&crossing.cells).zip(&crossing.row_sums);
    table(
        &format!("{by}-{across}"),
        &html! { (capital(by)) " by " (across) "." },
        &html! {
            thead { tr {
                th scope="col" { (by) }
                td { span.unseen { "figure" } }
                @for column in &crossing.columns { th.n scope="col" { (label(report, crossing.across, column)) } }
                th.n.sum scope="col" { "all" }
            } }
            tbody {
                @for ((row, cells), sum) in rows() {
                    tr {
                        th scope="row" { (label(report, crossing.by, row)) }
                        (legend())
                        @for counts in cells { td.n.cell { (cell(counts)) } }
                        td.n.cell.sum { (cell(sum)) }
                    }
                }
            }
            tfoot {
                tr {
                    th scope="row" { "all" }
                    (legend())
                    @for counts in &crossing.column_sums { td.n.cell { (cell(counts)) } }
                    td.n.cell.sum { (cell(&crossing.sum)) }
                }
            }
        },
    )
}

fn legend() -> Markup {
    html! { td.legend { span { "addresses" } span { "fetched" } span { "usable" } } }
}

fn cell(counts: &AddressCounts) -> Markup {
    let AddressCounts { addresses, fetched, usable } = *counts;
    html! {
        @if addresses == 0 { span.none { "–" } } @else {
            span { (number(addresses)) }
            span { (number(fetched)) " " small { (percent(fetched, addresses)) } }
            span { (number(usable)) " " small { (percent(usable, fetched)) } }
        }
    }
}

fn axis_name(axis: Axis) -> &'static str {
    match axis {
        Axis::Engine => "engine",
        Axis::Language => "language",
        Axis::Expression => "expression",
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn label(report: &Report, axis: Axis, name: &str) -> Markup {
    match axis {
        Axis::Engine => html! { bdi dir="auto" { (shown(name, 40)) } },
        Axis::Language => language_name(report, name),
        Axis::Expression => html! { (if name.is_empty() { "no expression" } else { name }) },
    }
}

/// AffectNet's table of what annotators say of what was asked for.
pub(super) fn intents(report: &Report) -> Markup {
    let about = html! {
        p {
            "Each row is an expression that was asked for; each column a category that annotators chose: the one with "
            "most votes among people, imported annotators and renderers, as in a release. A face whose image was found "
            "by queries for several expressions counts in each of their rows. Withdrawn images are left out."
        }
    };
    if report.intents.is_empty() {
        return html! {
            (about)
            p.empty {
                "Nobody has annotated a face of these images yet. Once somebody has, a table stands here: how often "
                "annotators see the expression that was asked for, and what they see instead."
            }
        };
    }
    html! {
        (about)
        (table("intents", &html! { "Expression asked for (rows) against category chosen by annotators (columns), faces." }, &html! {
            thead { tr {
                th scope="col" { "asked for" }
                @for category in Expression::ALL { th.n scope="col" { (category.name()) } }
                th.n scope="col" { "tied" }
                th.n.sum scope="col" { "faces" }
            } }
            tbody { @for row in &report.intents { (intent(row)) } }
        }))
    }
}

fn intent(row: &IntentRow) -> Markup {
    let faces = row.faces();
    let shaded = |count: u64, is_asked: bool| {
        let share = if faces == 0 { 0.0 } else { count as f64 / faces as f64 };
        html! {
            td.n.cell.shaded.asked[is_asked] style={ "--share:" (format!("{share:.3}")) } {
                @if count == 0 { span.none { "0" } } @else { span { (number(count)) } span { small { (percent(count, faces)) } } }
            }
        }
    };
    html! {
        tr {
            th scope="row" { (row.intent.name()) }
            @for (category, count) in Expression::ALL.into_iter().zip(row.counts) { (shaded(count, category == row.intent)) }
            (shaded(row.undecided, false))
            td.n.sum { (number(faces)) }
        }
    }
}

pub(super) fn queries(report: &Report) -> Markup {
    let found = &report.queries;
    html! {
        p {
            "Of " (number(report.totals.queries)) " queries, " (number(found.asked)) " were asked. "
            (number(found.without_hit)) " of these had no hit, "
            (number(found.without_usable)) " had hits and no usable face."
        }
        @if !found.best.is_empty() {
            (query_table(report, "best", "Queries that found most addresses with a usable face.", &found.best))
        }
        @if !found.least.is_empty() {
            (query_table(report, "least", "Queries with hits that found fewest.", &found.least))
        }
    }
}

fn query_table(report: &Report, id: &str, caption: &str, queries: &[QueryCount]) -> Markup {
    table(
        id,
        &html! { (caption) },
        &html! {
            thead { tr {
                th scope="col" { "query" } th scope="col" { "language" } th scope="col" { "expression" }
                th scope="col" { "asked of" } th.n scope="col" { "addresses" } th.n scope="col" { "fetched" }
                th.n scope="col" { "usable face" }
            } }
            tbody {
                @for query in queries {
                    tr {
                        th.words scope="row" { (foreign(report, &query.text, &query.language, 120)) }
                        td { (language_name(report, &query.language)) }
                        td { (expression_name(query.expression)) }
                        td { bdi dir="auto" { (shown(&query.provider, 40)) } }
                        td.n { (number(query.counts.addresses)) }
                        td.n { (number(query.counts.fetched)) }
                        td.n { (number(query.counts.usable)) " " small { (percent(query.counts.usable, query.counts.fetched)) } }
                    }
                }
            }
        },
    )
}
