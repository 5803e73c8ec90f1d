//! What does whoever follows an image learn of its annotations?

use std::sync::Arc;
use std::time::Instant;

use affectory_catalog::{AnswerAct, AnswerEvent};
use affectory_core::{WAY, way_us};

use crate::app::App;

/// Tells of answers that were recorded: when they had come, by both clocks, and when the disk had them. Who answered is
/// told by number, and what they said not at all.
pub(crate) async fn tell(app: Arc<App>, events: Vec<AnswerEvent>, (came_ms, came, recorded): (i64, Instant, Instant)) {
    for event in events {
        let AnswerAct::Answer { elapsed_ms, .. } = event.act else { continue };
        let image = match app.project.catalog.find_face_picture(event.face_id).await {
            Ok(Some(picture)) => picture.image_sha256,
            Ok(None) => continue,
            Err(error) => return tracing::warn!(%error, "answers could not be followed to their images"),
        };
        let looked_us = u64::from(elapsed_ms) * 1_000;
        let kept_us = u64::try_from(came_ms - event.time_ms).unwrap_or(0).saturating_mul(1_000);
        let before_us = looked_us.saturating_add(kept_us);
        tracing::info!(
            target: WAY,
            step = "annotate",
            hash = image.as_str(),
            ago_us = before_us.saturating_add(way_us(came.elapsed())),
            took_us = before_us.saturating_add(way_us(recorded - came)),
            part.look = looked_us,
            part.browser = kept_us,
            part.record = way_us(recorded - came),
            face = event.face_id.0,
            annotator = event.annotator_id.0,
            pool = event.pool_id.0,
        );
    }
}
