//! `affectory annotations`: how well do annotators agree?

use affectory_catalog::AnnotatorKind;
use affectory_core::FaceId;
use affectory_evaluate::{Rating, agreement};

use super::Context;
use crate::cli::Annotations;

/// Faces read at a time.
const PAGE: u32 = 5_000;

pub async fn run(context: &Context, args: Annotations) -> anyhow::Result<()> {
    match args {
        Annotations::Agreement => show_agreement(context).await,
    }
}

async fn show_agreement(context: &Context) -> anyhow::Result<()> {
    let project = context.open().await?;
    let mut ratings = Vec::new();
    let mut after = FaceId(0);
    loop {
        let faces = project.catalog.list_labelled_faces(after, PAGE).await?;
        let Some(last) = faces.last() else { break };
        after = last.face.id;
        let people = faces.iter().flat_map(|face| &face.annotations).filter(|annotation| match annotation.kind {
            AnnotatorKind::Person | AnnotatorKind::Imported | AnnotatorKind::Synthetic => true,
            // A formula and a network are no annotators.
            AnnotatorKind::Proxy | AnnotatorKind::Model => false,
        });
        ratings.extend(people.map(|annotation| Rating {
            face: annotation.face_id.0,
            annotator: annotation.annotator_id.0,
            expression: annotation.expression,
            valence: annotation.valence.map(|v| v.value().into()),
            arousal: annotation.arousal.map(|a| a.value().into()),
        }));
    }
    let n_ratings = ratings.len();
    let json = serde_json::to_value(agreement(&ratings))?;
    let mut text = format!("{n_ratings} annotations\n");
    flatten("", &json, &mut text);
    context.print(&text, &json)
}

/// One line a figure; lists (annotator by annotator) are for `--json`.
fn flatten(prefix: &str, value: &serde_json::Value, text: &mut String) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, field, text);
            }
        }
        serde_json::Value::Array(_) => {}
        serde_json::Value::Null => *text += &format!("{prefix:40} undefined\n"),
        serde_json::Value::Number(number) => {
            *text += &match number.as_f64().filter(|_| number.is_f64()) {
                Some(figure) => format!("{prefix:40} {figure:.4}\n"),
                None => format!("{prefix:40} {number}\n"),
            };
        }
        serde_json::Value::Bool(_) | serde_json::Value::String(_) => *text += &format!("{prefix:40} {value}\n"),
    }
}
