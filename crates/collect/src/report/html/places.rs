//! Where do the images come from, under which licence, and how often the same one?

use maud::{Markup, html};

use super::super::Report;
use super::text::{linked, number, percent, shown, table};

/// Lines of a distribution; what lies beyond is one line.
const LINES: usize = 10;

pub(super) fn duplicates(report: &Report) -> Markup {
    let copies: Vec<(u64, u64)> = report.copies.iter().map(|row| (row.addresses, row.images)).collect();
    let repeated: u64 = copies.iter().filter(|(addresses, _)| *addresses > 1).map(|(_, images)| images).sum();
    let near = &report.near_duplicates;
    html! {
        p {
            (number(repeated)) " of " (number(report.images.images)) " different images were found under several "
            "addresses (the same bytes). Of " (number(near.images)) " images whose looks are known, "
            (number(near.surplus())) " look like another one (perceptual hashes at most 4 of 64 bits apart): "
            (number(near.groups())) " groups."
        }
        div.columns {
            (table("copies", &html! { "Exact duplicates: addresses of one image." }, &distribution("addresses", "images", &copies)))
            (table("near", &html! { "Near-duplicates: images in one group." }, &distribution("images", "groups", &near.sizes)))
        }
    }
}

fn distribution(of: &str, what: &str, sizes: &[(u64, u64)]) -> Markup {
    let all: u64 = sizes.iter().map(|(_, n)| n).sum();
    let (head, tail) = sizes.split_at(LINES.min(sizes.len()));
    html! {
        thead { tr { th.n scope="col" { (of) } th.n scope="col" { (what) } th.n scope="col" { "share" } } }
        tbody {
            @for (size, n) in head {
                tr { th.n scope="row" { (number(*size)) } td.n { (number(*n)) } td.n { (percent(*n, all)) } }
            }
            @if let (Some((from, _)), Some((to, _))) = (tail.first(), tail.last()) {
                @let n = tail.iter().map(|(_, n)| n).sum::<u64>();
                tr {
                    th.n scope="row" { (number(*from)) @if to != from { " to " (number(*to)) } }
                    td.n { (number(n)) } td.n { (percent(n, all)) }
                }
            }
            @if sizes.is_empty() { tr { td colspan="3" { "none" } } }
        }
    }
}

pub(super) fn section(report: &Report) -> Markup {
    let rest = &report.other_licenses;
    html! {
        (table("licences", &html! {
            "Licences as search engines state them; nobody has checked them. An address with several counts for each."
        }, &html! {
            thead { tr {
                th scope="col" { "licence" } th.n scope="col" { "addresses" } th.n scope="col" { "share" }
                th.n scope="col" { "fetched" }
            } }
            tbody {
                @for row in &report.licenses {
                    tr {
                        th.words scope="row" {
                            @match &row.license { Some(license) => (linked(license, 90)), None => "none stated" }
                        }
                        td.n { (number(row.addresses)) }
                        td.n { (percent(row.addresses, report.totals.addresses)) }
                        td.n { (number(row.fetched)) }
                    }
                }
                @if rest.lines > 0 {
                    tr {
                        th scope="row" { (number(rest.lines)) " others" }
                        td.n { (number(rest.addresses)) }
                        td.n { (percent(rest.addresses, report.totals.addresses)) }
                        td.n { (number(rest.fetched)) }
                    }
                }
                @if report.licenses.is_empty() { tr { td colspan="4" { "no address yet" } } }
            }
        }))
        (table("hosts", &html! {
            "The " (report.hosts.len()) " hosts with most addresses, of " (number(report.n_hosts)) "."
        }, &html! {
            thead { tr {
                th scope="col" { "host" } th.n scope="col" { "addresses" } th.n scope="col" { "fetched" }
                th.n scope="col" { "refused" } th.n scope="col" { "failed" } th.n scope="col" { "median ms" }
            } }
            tbody {
                @for row in &report.hosts {
                    tr {
                        th scope="row" { bdi dir="auto" { (shown(&row.host, 60)) } }
                        td.n { (number(row.addresses)) }
                        td.n { (number(row.fetched)) " " small { (percent(row.fetched, row.addresses)) } }
                        td.n { (number(row.refused)) }
                        td.n { (number(row.failed)) }
                        td.n { (row.median_ms.map_or("–".to_owned(), number)) }
                    }
                }
                @if report.hosts.is_empty() { tr { td colspan="6" { "no address yet" } } }
            }
        }))
    }
}
