//! How do the figures become a page? A pure function from [`Report`] to text; what came from outside is escaped by the
//! template engine, cut, and isolated from the writing direction around it.

mod charts;
mod faces;
mod found;
mod places;
mod steps;
mod text;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
use text::{number, shown, utc};

const STYLE: &str = include_str!("style.css");

/// Nothing is loaded and nothing runs, whatever a name from outside says.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// The whole file.
pub fn render(report: &Report) -> String {
    let project = shown(&report.project, 80);
    let sections: [(&str, &str, Markup); 8] = [
        ("drop-out", "Drop-out at each step", steps::section(report)),
        ("found", "What was found", found::section(report)),
        ("intent", "Query against annotation", found::intents(report)),
        ("duplicates", "Duplicates", places::duplicates(report)),
        ("licences", "Licences and hosts", places::section(report)),
        ("queries", "Queries", found::queries(report)),
        ("pace", "Pace", charts::section(report)),
        ("faces", "Faces", faces::section(report)),
    ];
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
                title { "Collection report: " (project) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Collection report: " bdi dir="auto" { (project) } }
                    p.lead {
                        "Written " (utc(report.written_ms)) "."
                        @if let (Some(first), Some(last)) = (report.totals.first_ms, report.totals.last_ms) {
                            " First query planned " (utc(first)) ", last address found or fetched " (utc(last)) "."
                        }
                    }
                    (totals(report))
                    nav aria-label="Sections" {
                        ol { @for (id, title, _) in &sections { li { a href={ "#" (id) } { (title) } } } }
                    }
                }
                main {
                    @for (id, title, content) in &sections {
                        section id=(id) aria-labelledby={ (id) "-title" } {
                            h2 id={ (id) "-title" } { (title) }
                            (content)
                        }
                    }
                }
                footer {
                    p {
                        "Made by affectory from the project's catalogue. A usable face has a shorter side of at least "
                        (report.usable_px) " pixels. What a query was meant to find is no label."
                    }
                }
            }
        }
    }
    .into_string()
}

fn totals(report: &Report) -> Markup {
    let (totals, images) = (&report.totals, &report.images);
    let tiles = [
        ("queries", totals.queries),
        ("searches done", totals.searches_done),
        ("searches open", totals.searches_open),
        ("searches failed", totals.searches_failed),
        ("hits", totals.hits),
        ("addresses", totals.addresses),
        ("fetched", totals.fetched),
        ("different images", images.images),
        ("with a usable face", images.usable),
        ("faces", images.faces),
        ("of usable size", images.usable_faces),
        ("near-duplicates", report.near_duplicates.surplus()),
    ];
    html! {
        dl.tiles { @for (name, count) in tiles { div { dt { (name) } dd { (number(count)) } } } }
    }
}
