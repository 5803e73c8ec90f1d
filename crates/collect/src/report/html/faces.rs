//! What do the found faces look like? Samples only, each with the query that found it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::super::{Mosaic, MosaicFace, Report};
use super::text::{foreign, shown};

pub(super) fn section(report: &Report) -> Markup {
    let Some(mosaics) = &report.mosaics else {
        return html! { p.empty { "This report was written without pictures." } };
    };
    html! {
        p.warning role="note" {
            "These are pictures of people. This file is not to be published before their licences have been checked; "
            code { "affectory collect report --no-pictures" } " writes one that shows nobody."
        }
        @if mosaics.iter().all(|mosaic| mosaic.faces.is_empty()) {
            p.empty { "No usable face has been found yet." }
        } @else {
            p { "Up to 24 faces of each expression asked for, drawn at random. The query says what was hoped for; nobody has judged it here." }
        }
        @for mosaic in mosaics { @if !mosaic.faces.is_empty() { (shown_mosaic(report, mosaic)) } }
    }
}

fn shown_mosaic(report: &Report, mosaic: &Mosaic) -> Markup {
    html! {
        h3 { "Asked for: " (mosaic.intent.name()) }
        ul.mosaic { @for face in &mosaic.faces { li { (figure(report, face)) } } }
    }
}

fn figure(report: &Report, face: &MosaicFace) -> Markup {
    let license = face.license.as_deref().map_or_else(|| "no licence stated".to_owned(), |text| shown(text, 60));
    let (query, host) = (shown(&face.query, 120), shown(&face.host, 60));
    html! {
        figure {
            img src={ "data:image/jpeg;base64," (STANDARD.encode(&face.jpeg)) } width="96" height="96" loading="lazy"
                alt={ "Face found by the query " (query) } title={ (query) "\n" (host) "\n" (license) };
            figcaption { (foreign(report, &face.query, &face.language, 60)) }
        }
    }
}
