//! What does an annotator's browser get before the script takes over? The page's regions, labels and data.

use std::collections::BTreeMap;
use std::sync::Arc;

use affectory_core::{Expression, PoolId};
use axum::extract::{Path, State};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

use crate::access::Visitor;
use crate::api::open_to;
use crate::app::App;
use crate::failure::WebError;

/// The keys of the eleven categories, in AffectNet's order.
const KEYS: [&str; 11] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "-"];

/// The page of a pool that this annotator may work on.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(pool): Path<i64>,
) -> Result<Markup, WebError> {
    let pool = open_to(&app, &visitor, PoolId(pool)).await?;
    let language = app.messages.of(&visitor.account.language);
    let choice = |(expression, key): (Expression, &str)| ExpressionChoice {
        index: expression.index(),
        name: expression.name().to_owned(),
        label: language.expression(expression).to_owned(),
        key: key.to_owned(),
        region: expression.suggested_region().map(|region| SuggestedRegion {
            from_degrees: region.from_degrees,
            sweep_degrees: region.sweep_degrees,
            min_intensity: region.min_intensity,
            max_intensity: region.max_intensity,
        }),
    };
    let page = AnnotatePage {
        pool: pool.id.0,
        pool_name: pool.name,
        language: language.code.to_owned(),
        direction: language.direction.to_owned(),
        account: visitor.account.id.0,
        expressions: Expression::ALL.into_iter().zip(KEYS).map(choice).collect(),
        messages: language.words.clone(),
        csrf: visitor.csrf,
    };
    annotate(&page).map_err(|error| WebError::Failed(Arc::new(error)))
}

/// Everything the page needs; serialised it is what the script reads.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AnnotatePage {
    /// The pool's id.
    pub(crate) pool: i64,
    /// What the pool is called.
    pub(crate) pool_name: String,
    /// `en`, `es`, `pt`, `de`, `ar` or `fa`.
    pub(crate) language: String,
    /// `ltr` or `rtl`.
    pub(crate) direction: String,
    /// Whose answers these will be.
    pub(crate) account: i64,
    /// The eleven categories, by index.
    pub(crate) expressions: Vec<ExpressionChoice>,
    /// The language's messages by key.
    pub(crate) messages: BTreeMap<String, String>,
    /// What proves that a request comes from this page; in a `meta` element, not in the data.
    #[serde(skip)]
    pub(crate) csrf: String,
}

/// One category, its key and where in the circumplex it is expected.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ExpressionChoice {
    /// AffectNet's index, 0 to 10.
    pub(crate) index: usize,
    /// The name in files and tables.
    pub(crate) name: String,
    /// The name in the annotator's language.
    pub(crate) label: String,
    /// The key that chooses it.
    pub(crate) key: String,
    /// `None` for none, uncertain and non-face.
    pub(crate) region: Option<SuggestedRegion>,
}

/// A ring sector, as `affectory_core::Region` has it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct SuggestedRegion {
    /// Degrees anticlockwise from positive valence.
    pub(crate) from_degrees: f32,
    /// (0, 360].
    pub(crate) sweep_degrees: f32,
    /// Inner radius.
    pub(crate) min_intensity: f32,
    /// Outer radius.
    pub(crate) max_intensity: f32,
}

impl AnnotatePage {
    fn message(&self, key: &str) -> &str {
        self.messages.get(key).map_or("", String::as_str)
    }
}

/// The whole document.
///
/// # Errors
/// If the data cannot be written as JSON.
fn annotate(page: &AnnotatePage) -> Result<Markup, serde_json::Error> {
    // "<" would end the script element early if a name held "</script>".
    let data = serde_json::to_string(page)?.replace('<', "\\u003c");
    Ok(html! {
        (DOCTYPE)
        html lang=(page.language) dir=(page.direction) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="csrf" content=(page.csrf);
                title { (page.pool_name) " · Affectory" }
                link rel="icon" href="/assets/icon.svg";
                link rel="stylesheet" href="/assets/app.css";
                script type="module" src="/assets/annotate.js" {}
            }
            body.annotating {
                a.skip href="#answer" { (page.message("annotate_skip")) }
                (header(page))
                main.annotate {
                    h1.visually-hidden { (page.message("annotate_title")) }
                    (face(page))
                    (answer(page))
                }
                (footer(page))
                (dialogs(page))
                script type="application/json" id="page" { (PreEscaped(data)) }
            }
        }
    })
}

fn header(page: &AnnotatePage) -> Markup {
    html! {
        header.site {
            nav aria-label=(page.message("navigation")) {
                a.brand href="/" data-testid="home" { "Affectory" }
                span.here aria-current="page" { (page.pool_name) }
            }
            p.progress {
                span { (page.message("annotate_today_count")) " " bdi #count data-testid="count" { "–" } }
                progress #progress value="0" max="1" aria-label=(page.message("annotate_pool_progress")) {}
            }
        }
    }
}

fn face(page: &AnnotatePage) -> Markup {
    html! {
        section.look aria-labelledby="face-title" {
            h2 #face-title.visually-hidden tabindex="-1" { (page.message("annotate_face")) }
            div.stage #stage data-testid="stage" {
                div #picture {}
                img.context #context alt=(page.message("annotate_context_alt")) hidden;
                p.wait #wait role="status" data-testid="wait" { (page.message("annotate_loading")) }
                noscript { p.notice { (page.message("annotate_no_script")) } }
            }
            p.note #note data-testid="note" hidden {}
        }
    }
}

fn answer(page: &AnnotatePage) -> Markup {
    html! {
        section.answer #answer tabindex="-1" aria-label=(page.message("annotate_answer")) {
            div.categories role="group" aria-label=(page.message("annotate_categories")) {
                @for choice in &page.expressions {
                    button.category type="button" aria-pressed="false" aria-keyshortcuts=(choice.key)
                        data-expression=(choice.index) data-testid={ "expression-" (choice.index) } disabled {
                        kbd aria-hidden="true" { (choice.key) }
                        span.label { (choice.label) }
                        span.by hidden { (page.message("annotate_model")) }
                    }
                }
            }
            div.placement #placement role="group" aria-label=(page.message("annotate_circumplex")) {
                svg #plot direction="ltr" aria-hidden="true" focusable="false" data-testid="plot" {}
                div.values {
                    (slider(page, "valence", "horizontal"))
                    (slider(page, "arousal", "vertical"))
                    button.primary #confirm type="button" data-testid="confirm" aria-keyshortcuts="Enter" disabled {
                        (page.message("annotate_confirm")) " " kbd aria-hidden="true" { "Enter" }
                    }
                }
            }
            p.hint #hint data-testid="hint" { (page.message("annotate_hint_category")) }
        }
    }
}

fn slider(page: &AnnotatePage, axis: &str, orientation: &str) -> Markup {
    html! {
        div.value #(axis) role="slider" tabindex="0" aria-labelledby={ (axis) "-label" } aria-orientation=(orientation)
            aria-describedby="hint"
            aria-valuemin="-1" aria-valuemax="1" aria-valuenow="0" aria-disabled="true" data-testid=(axis) {
            span #{ (axis) "-label" } { (page.message(axis)) }
            bdi dir="ltr" { "–" }
        }
    }
}

fn footer(page: &AnnotatePage) -> Markup {
    let action = |id: &str, key: &str| {
        html! {
            button #(id) type="button" data-testid=(id) aria-keyshortcuts=(key) {
                kbd aria-hidden="true" { (key) } " " (page.message(&format!("annotate_{}", id.replace('-', "_"))))
            }
        }
    };
    html! {
        footer.tools {
            div.actions role="group" aria-label=(page.message("annotate_actions")) {
                (action("do-undo", "u"))
                (action("show-today", "t"))
                (action("show-context", "c"))
                (action("show-flag", "f"))
                (action("show-help", "?"))
            }
            p.state #state data-testid="state" data-condition="sending" {
                span.dot aria-hidden="true" {}
                span #state-text {}
                " "
                a #sign-in href="/login" target="_blank" hidden { (page.message("login_title")) }
            }
            div.refusals #refusals role="alert" data-testid="refusals" {}
            p.visually-hidden #announce aria-live="polite" data-testid="announce" {}
        }
    }
}

fn dialogs(page: &AnnotatePage) -> Markup {
    let close = html! {
        button type="submit" value="close" formnovalidate data-testid="close" {
            (page.message("close")) " " kbd aria-hidden="true" { "Esc" }
        }
    };
    html! {
        dialog #today aria-labelledby="today-title" data-testid="today" {
            form method="dialog" {
                h2 #today-title { (page.message("annotate_today_title")) }
                p #today-empty { (page.message("annotate_today_empty")) }
                ol.today #today-list {}
                p.buttons { (close) }
            }
        }
        dialog #flag aria-labelledby="flag-title" data-testid="flag" {
            form method="dialog" {
                h2 #flag-title { (page.message("annotate_flag_title")) }
                label for="flag-note" { (page.message("annotate_flag_note")) }
                textarea #flag-note rows="4" maxlength="1000" required data-testid="flag-note" {}
                p.buttons {
                    button.primary type="submit" value="flag" data-testid="flag-submit" {
                        (page.message("annotate_flag_submit")) " " kbd aria-hidden="true" { "Ctrl Enter" }
                    }
                    (close)
                }
            }
        }
        dialog #help aria-labelledby="help-title" data-testid="help" {
            form method="dialog" {
                h2 #help-title { (page.message("annotate_help_title")) }
                dl.keys {
                    @for choice in &page.expressions {
                        dt { kbd { (choice.key) } }
                        dd { (choice.label) }
                    }
                    @for (keys, key) in HELP {
                        dt { @for name in keys { kbd dir="ltr" { (name) } " " } }
                        dd { (page.message(key)) }
                    }
                }
                p.buttons { (close) }
            }
        }
    }
}

/// The keys beside the categories, and the message that says what they do.
const HELP: [(&[&str], &str); 9] = [
    (&["←", "→", "↑", "↓"], "annotate_help_arrows"),
    (&["Shift ←", "Shift →"], "annotate_help_coarse"),
    (&["Enter", "Space"], "annotate_help_confirm"),
    (&["Esc"], "annotate_help_escape"),
    (&["u", "Ctrl Z"], "annotate_help_undo"),
    (&["t"], "annotate_help_today"),
    (&["c"], "annotate_help_context"),
    (&["f"], "annotate_help_flag"),
    (&["?"], "annotate_help_help"),
];
