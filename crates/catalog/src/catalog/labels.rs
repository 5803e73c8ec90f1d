//! What has been said of each face?

use std::collections::HashMap;

use affectory_again::again;
use affectory_core::{AnnotationId, AnnotatorId, BoundingBox, FaceId, ImageId};

use crate::database::{Row, batch};
use crate::records::{Annotation, AnnotatorKind, FaceQuality, FaceRow, LabelledFace, NewSighting, ScanStatus};
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// Faces with their image, sightings and annotations, in the order of face ids, after `after`.
    /// A page is three statements over one state of the catalogue.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_labelled_faces(&self, after: FaceId, limit: u32) -> Result<Vec<LabelledFace>, CatalogError> {
        let failed = || CatalogError::database("list faces");
        let mut work = self.database.read_a_page().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select face.id, image_id, origin, x, y, face.width, face.height, score, landmarks, size_px, sharpness,
                        brightness, yaw_degrees, pitch_degrees, roll_degrees, crop_sha256,
                        image.id, sha256, phash, image.width, image.height, format, size_bytes, withdrawn_ms
                 from face join image on image.id = face.image_id
                 where face.id > $1 order by face.id limit $2",
                vec![after.0.into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        let mut faces = Vec::with_capacity(rows.len());
        for row in &rows {
            let (face, image) = (face_row(row)?, super::scan::image_row(row, 16)?);
            faces.push(LabelledFace { face, image, sightings: Vec::new(), annotations: Vec::new() });
        }

        let mut image_ids: Vec<[ImageId; 1]> = faces.iter().map(|face| [face.image.id]).collect();
        image_ids.sort_unstable();
        image_ids.dedup();
        let rows = work
            .fetch(
                "select image_id, source, sighting.path, page_url, license, given_split
                 from json_each($1) as wanted cross join sighting
                 where sighting.image_id = cast(wanted.value ->> 0 as bigint)
                 union all
                 select image_id, search.provider, candidate.url, hit.page_url, hit.license, -1
                 from json_each($1) as wanted cross join candidate cross join hit cross join search
                 where candidate.image_id = cast(wanted.value ->> 0 as bigint) and hit.candidate_id = candidate.id
                     and search.id = hit.search_id",
                vec![batch(image_ids)],
            )
            .await
            .map_err(failed())?;
        let mut sightings: HashMap<i64, Vec<NewSighting>> = HashMap::new();
        for row in &rows {
            sightings.entry(row.int(0)?).or_default().push(NewSighting {
                source: row.text(1)?,
                path: row.text(2)?,
                page_url: row.optional_text(3)?,
                license: row.optional_text(4)?,
                given_split: row.split(5)?,
            });
        }
        // Sorted here: the two engines do not order text alike.
        for places in sightings.values_mut() {
            places.sort_unstable_by(|a, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
        }

        let last = faces.last().map_or(after, |face| face.face.id);
        let rows = work
            .fetch(
                "select annotation.id, face_id, annotator_id, name, kind, expression, valence, arousal,
                        annotation.origin = 'adjudication'
                 from annotation cross join annotator
                 where face_id > $1 and face_id <= $2 and annotator.id = annotator_id
                     and (expression is not null or valence is not null or arousal is not null)
                     and not exists (select 1 from annotation as newer where newer.supersedes = annotation.id)",
                vec![after.0.into(), last.0.into()],
            )
            .await
            .map_err(failed())?;
        let mut annotations: HashMap<FaceId, Vec<Annotation>> = HashMap::new();
        for row in &rows {
            let annotation = annotation_row(row)?;
            annotations.entry(annotation.face_id).or_default().push(annotation);
        }
        for face in &mut faces {
            face.sightings = sightings.get(&face.image.id.0).cloned().unwrap_or_default();
            face.annotations = annotations.remove(&face.face.id).unwrap_or_default();
            face.annotations.sort_unstable_by_key(|annotation| annotation.id);
        }
        Ok(faces)
    }
}

/// Reads the sixteen columns of a face.
pub(super) fn face_row(row: &Row) -> Result<FaceRow, CatalogError> {
    let at = BoundingBox::new(row.real(3)?, row.real(4)?, row.real(5)?, row.real(6)?);
    let figures = [9, 10, 11, 12, 13, 14].map(|idx| row.optional_real(idx));
    let quality = match figures {
        [
            Ok(Some(size_px)),
            Ok(Some(sharpness)),
            Ok(Some(brightness)),
            Ok(Some(yaw)),
            Ok(Some(pitch)),
            Ok(Some(roll)),
        ] => Some(FaceQuality {
            size_px,
            sharpness,
            brightness,
            yaw_degrees: yaw,
            pitch_degrees: pitch,
            roll_degrees: roll,
        }),
        _ => None,
    };
    Ok(FaceRow {
        id: FaceId(row.int(0)?),
        image_id: ImageId(row.int(1)?),
        origin: row.text(2)?,
        bounding_box: at.map_err(|error| CatalogError::Corrupt(error.to_string()))?,
        score: row.optional_real(7)?,
        landmarks: row.landmarks(8)?,
        quality,
        crop_sha256: row.optional_sha256(15)?,
    })
}

fn annotation_row(row: &Row) -> Result<Annotation, CatalogError> {
    Ok(Annotation {
        id: AnnotationId(row.int(0)?),
        face_id: FaceId(row.int(1)?),
        annotator_id: AnnotatorId(row.int(2)?),
        annotator: row.text(3)?,
        kind: AnnotatorKind::from_name(&row.text(4)?)?,
        expression: row.expression(5)?,
        valence: row.valence(6)?,
        arousal: row.arousal(7)?,
        is_adjudication: row.boolean(8)?,
    })
}

impl AnnotatorKind {
    /// All of them.
    pub const ALL: [AnnotatorKind; 5] = [
        AnnotatorKind::Person,
        AnnotatorKind::Imported,
        AnnotatorKind::Synthetic,
        AnnotatorKind::Proxy,
        AnnotatorKind::Model,
    ];

    /// The word in the table.
    pub const fn name(self) -> &'static str {
        match self {
            AnnotatorKind::Person => "person",
            AnnotatorKind::Imported => "imported",
            AnnotatorKind::Synthetic => "synthetic",
            AnnotatorKind::Proxy => "proxy",
            AnnotatorKind::Model => "model",
        }
    }

    pub(crate) fn from_name(name: &str) -> Result<Self, CatalogError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| CatalogError::Corrupt(format!("annotator kind `{name}`")))
    }
}

impl ScanStatus {
    /// The word in the table.
    pub const fn name(self) -> &'static str {
        match self {
            ScanStatus::Found => "found",
            ScanStatus::NoFace => "no-face",
            ScanStatus::Unreadable => "unreadable",
        }
    }
}
