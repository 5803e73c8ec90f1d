//! How does a face reach a browser, and only one that may see it?

use std::sync::Arc;

use affectory_catalog::{LessonPicture, Role};
use affectory_core::{BoundingBox, FaceId, LessonId, Sha256Hex};
use affectory_imaging::{Limits, RgbImage, crop_resize, decode, encode_jpeg};
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;

/// Side of a face's picture in pixels, at most.
const FACE_SIDE: f32 = 640.0;

/// The same on a page for everybody.
const SAMPLE_SIDE: f32 = 256.0;

/// Longer side of the whole photograph, pixels, at most.
const CONTEXT_SIDE: u32 = 1280;

/// A face with this much around it, in sides of its box.
const AROUND: f32 = 1.5;

const QUALITY: u8 = 88;

/// How long a browser may keep a picture: no longer, since it may be withdrawn.
const KEPT: &str = "private, max-age=600";

#[derive(Clone, Copy)]
pub(crate) enum View {
    Crop,
    Context,
    /// Small, for everybody.
    Sample,
}

/// The face, cut out of its photograph.
pub(crate) async fn crop(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(face): Path<i64>,
) -> Result<Response, WebError> {
    may_see(&app, &visitor, FaceId(face)).await?;
    face_picture(&app, FaceId(face), View::Crop).await
}

/// The whole photograph, with the face's box.
pub(crate) async fn context(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(face): Path<i64>,
) -> Result<Response, WebError> {
    may_see(&app, &visitor, FaceId(face)).await?;
    face_picture(&app, FaceId(face), View::Context).await
}

/// The picture of a lesson.
pub(crate) async fn lesson(State(app): State<Arc<App>>, Path(lesson): Path<i64>) -> Result<Response, WebError> {
    let picture = app.project.catalog.find_lesson_picture(LessonId(lesson)).await?;
    match picture.ok_or(WebError::NotFound("that lesson"))? {
        LessonPicture::Face(face) => face_picture(&app, face, View::Crop).await,
        LessonPicture::Object(sha256) => {
            let bytes = app.project.store.read(&sha256).await?;
            Ok(([(CONTENT_TYPE, "image/png"), (CACHE_CONTROL, KEPT)], bytes).into_response())
        }
    }
}

/// Annotators see the faces that were given to them; reviewers see all. To the others a face is not there.
async fn may_see(app: &App, visitor: &Visitor, face: FaceId) -> Result<(), WebError> {
    if visitor.account.role >= Role::Reviewer {
        return Ok(());
    }
    let is_given = app.project.catalog.is_given(face, visitor.account.annotator_id).await?;
    if is_given { Ok(()) } else { Err(WebError::NotFound("that face")) }
}

async fn face_picture(app: &Arc<App>, face: FaceId, view: View) -> Result<Response, WebError> {
    let found = app.project.catalog.find_face_picture(face).await?.ok_or(WebError::NotFound("that face"))?;
    if found.is_withdrawn {
        return Err(WebError::Withdrawn);
    }
    picture(app, &found.image_sha256, found.bounding_box, view).await
}

/// A face of an image of the store; whether it may be seen was asked before.
pub(crate) async fn picture(
    app: &Arc<App>,
    image_sha256: &Sha256Hex,
    at: BoundingBox,
    view: View,
) -> Result<Response, WebError> {
    let bytes = app.project.store.read(image_sha256).await?;
    let _turn = app.cutting.acquire().await.map_err(|_| WebError::Busy)?;
    let cut = tokio::task::spawn_blocking(move || {
        let image = decode(&bytes, &Limits::default())?.image;
        let view = match view {
            View::Crop => cut_face(&image, at, FACE_SIDE),
            View::Context => with_box(&image, at),
            View::Sample => cut_face(&image, at, SAMPLE_SIDE),
        };
        encode_jpeg(&view, QUALITY)
    });
    let jpeg = match cut.await {
        Ok(Ok(jpeg)) => jpeg,
        Ok(Err(error)) => return Err(WebError::Failed(Arc::new(error))),
        Err(error) => return Err(WebError::Failed(Arc::new(error))),
    };
    Ok(([(CONTENT_TYPE, "image/jpeg"), (CACHE_CONTROL, KEPT)], jpeg).into_response())
}

/// A square around the face, as far as the photograph goes, no larger than it is.
fn cut_face(image: &RgbImage, face: BoundingBox, longest: f32) -> RgbImage {
    let side = face.width.max(face.height) * AROUND;
    let (x, y) = (face.x + face.width / 2.0 - side / 2.0, face.y + face.height / 2.0 - side / 2.0);
    let (left, top) = (x.max(0.0), y.max(0.0));
    let (right, bottom) = ((x + side).min(image.width as f32), (y + side).min(image.height as f32));
    let Ok(around) = BoundingBox::new(left, top, right - left, bottom - top) else { return image.clone() };
    let scale = (longest / around.width.max(around.height)).min(1.0);
    let pixels = |length: f32| ((length * scale).round() as u32).max(1);
    crop_resize(image, around, pixels(around.width), pixels(around.height))
}

/// The photograph, made smaller where it is large, with a light and a dark line around the face: one of them shows.
fn with_box(image: &RgbImage, face: BoundingBox) -> RgbImage {
    let scale = (CONTEXT_SIDE as f32 / image.width.max(image.height) as f32).min(1.0);
    let pixels = |length: u32| ((length as f32 * scale).round() as u32).max(1);
    let mut small = affectory_imaging::resize(image, pixels(image.width), pixels(image.height));
    let at = [face.x, face.y, face.x + face.width, face.y + face.height].map(|at| (at * scale).round() as i64);
    draw_frame(&mut small, at, [255, 255, 255]);
    draw_frame(&mut small, [at[0] - 1, at[1] - 1, at[2] + 1, at[3] + 1], [0, 0, 0]);
    small
}

fn draw_frame(image: &mut RgbImage, [left, top, right, bottom]: [i64; 4], colour: [u8; 3]) {
    let (width, height) = (i64::from(image.width), i64::from(image.height));
    let mut dot = |x: i64, y: i64| {
        if (0..width).contains(&x) && (0..height).contains(&y) {
            let at = ((y * width + x) * 3) as usize;
            image.pixels[at..at + 3].copy_from_slice(&colour);
        }
    };
    for x in left.max(0)..=right.min(width - 1) {
        dot(x, top);
        dot(x, bottom);
    }
    for y in top.max(0)..=bottom.min(height - 1) {
        dot(left, y);
        dot(right, y);
    }
}
