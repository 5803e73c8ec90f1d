//! What do pictures show? One answer a face, as text, JSON, a row, a drawing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use affectory_core::{Arousal, BoundingBox, LabelSet, Progress as _, Valence};
use affectory_faces::{FaceFinder, FoundFace, MtcnnSettings};
use affectory_imaging::{Limits, OverlayFace, RgbImage, decode, overlay_svg};
use affectory_learn::{FacePlace, Prediction, Predictor};
use anyhow::bail;

use super::inputs::overlay_name;
use crate::cli::Detector;
use crate::commands::{Context, evaluate, faces, shown};
use crate::failure::printable;

/// One picture's answer.
pub struct Picture {
    /// Where it lies.
    pub path: PathBuf,
    size: Option<(u32, u32)>,
    /// Everybody in it.
    pub faces: Vec<ReadFace>,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// One face's answer.
pub struct ReadFace {
    /// Its place in the picture.
    pub bounding_box: BoundingBox,
    /// What the detector saw; `None` for a picture that is one face.
    pub seen: Option<FoundFace>,
    /// What the model says of it.
    pub prediction: Prediction,
}

/// What reads a picture: a detector, unless the picture is one face, and a model.
pub struct Reader {
    finder: Option<FaceFinder>,
    predictor: Predictor,
}

/// Reads pictures, the first of which has the number 1 in an overlay's name.
pub fn read_pictures(
    context: &Context,
    reader: &Reader,
    paths: Vec<PathBuf>,
    overlay: Option<&Path>,
) -> anyhow::Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    context.bars.begin("predict", Some(paths.len() as u64));
    for (number, path) in paths.into_iter().enumerate() {
        if context.stop.is_requested() {
            bail!("stopped");
        }
        pictures.push(read_picture(reader, path, overlay.map(|folder| (folder, number)))?);
        context.bars.advance(1);
    }
    context.bars.end();
    Ok(pictures)
}

fn read_picture(reader: &Reader, path: PathBuf, overlay: Option<(&Path, usize)>) -> anyhow::Result<Picture> {
    let limits = Limits::default();
    let image = read_limited(&path, limits.max_bytes).and_then(|b| decode(&b, &limits).map_err(|e| e.to_string()));
    let image = match image {
        Ok(decoded) => decoded.image,
        Err(reason) => return Ok(Picture { path, size: None, faces: Vec::new(), error: Some(reason) }),
    };
    let faces = reader.read(&image)?;
    if let Some((folder, number)) = overlay {
        let name = format!("{}.svg", overlay_name(number, &path));
        evaluate::write_file(&folder.join(name), self::overlay(&image, &faces)?.as_bytes())?;
    }
    Ok(Picture { path, size: Some((image.width, image.height)), faces, error: None })
}

impl Reader {
    /// A detector, or none where each picture is a face, and a model.
    pub fn new(finder: Option<FaceFinder>, predictor: Predictor) -> Self {
        Self { finder, predictor }
    }

    /// The model.
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// The detector and the model inside the program.
    pub fn bundled() -> anyhow::Result<Self> {
        let finder = Some(faces::finder(&Detector::Mtcnn, MtcnnSettings::default().min_face)?);
        Ok(Self { finder, predictor: Predictor::bundled()? })
    }

    /// Every face of a picture.
    pub fn read(&self, image: &RgbImage) -> anyhow::Result<Vec<ReadFace>> {
        let Some(finder) = &self.finder else {
            let whole = BoundingBox::whole(image.width, image.height);
            let predictions = self.predictor.predict(image, &[whole.into()])?;
            let face = |prediction| ReadFace { bounding_box: whole, seen: None, prediction };
            return Ok(predictions.into_iter().map(face).collect());
        };
        let found = finder.find(image);
        let place = |face: &FoundFace| FacePlace { bounding_box: face.bounding_box, five: Some(face.five) };
        let places: Vec<FacePlace> = found.iter().map(|face| self.predictor.framed(place(face))).collect();
        let faces = found.into_iter().zip(self.predictor.predict(image, &places)?);
        let read = |(face, prediction): (FoundFace, _)| ReadFace {
            bounding_box: face.bounding_box,
            seen: Some(face),
            prediction,
        };
        Ok(faces.map(read).collect())
    }
}

/// The picture with every face's answer on it.
pub fn overlay(image: &RgbImage, faces: &[ReadFace]) -> anyhow::Result<String> {
    let drawn: Vec<OverlayFace> = faces
        .iter()
        .map(|ReadFace { bounding_box, prediction: face, .. }| OverlayFace {
            bounding_box: *bounding_box,
            label: expression(face),
            valence_arousal: face.point(),
            is_proxy: face.is_proxy,
        })
        .collect();
    Ok(overlay_svg(image, &drawn)?)
}

/// A device or a huge file is refused before it is in memory.
fn read_limited(path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !metadata.is_file() {
        return Err("not a file".into());
    }
    if metadata.len() > max_bytes {
        return Err(format!("{} bytes, the limit is {max_bytes}", metadata.len()));
    }
    std::fs::read(path).map_err(|e| e.to_string())
}

/// A line a face.
pub fn text(pictures: &[Picture]) -> String {
    let mut text = String::new();
    for picture in pictures {
        if let Some(error) = &picture.error {
            let _ = writeln!(text, "{}: {}", shown(&picture.path), printable(error.trim()));
        }
        if picture.error.is_none() && picture.faces.is_empty() {
            let _ = writeln!(text, "{}: no face found", shown(&picture.path));
        }
        for ReadFace { bounding_box, seen, prediction: face } in &picture.faces {
            let at = seen.as_ref().map_or(String::new(), |_| {
                let BoundingBox { x, y, width, height } = bounding_box;
                format!(" [{x:.0} {y:.0} {width:.0} {height:.0}]")
            });
            let _ = writeln!(text, "{}{at}: {}", shown(&picture.path), answer(face));
        }
    }
    text
}

/// The category and how sure the model is of it.
fn expression(face: &Prediction) -> Option<String> {
    let percent = |label| face.probability(label).unwrap_or_default() * 100.0;
    face.expression.map(|label| format!("{label} {:.0} %", percent(label)))
}

/// What was learnt, in one line.
fn answer(face: &Prediction) -> String {
    let valence = face.valence.map(|valence| format!("valence {:+.2}", valence.value()));
    let arousal = face.arousal.map(|arousal| format!("arousal {:+.2}", arousal.value()));
    let proxy = if face.is_proxy && (valence.is_some() || arousal.is_some()) { " (proxy)" } else { "" };
    let known: Vec<String> = [expression(face), valence, arousal].into_iter().flatten().collect();
    format!("{}{proxy}", known.join(", "))
}

/// The contract's `images`.
pub fn json(pictures: &[Picture]) -> Vec<serde_json::Value> {
    pictures
        .iter()
        .map(|picture| {
            let faces: Vec<_> = picture
                .faces
                .iter()
                .map(|ReadFace { bounding_box: b, seen, prediction: face }| {
                    let landmarks: Vec<[f32; 2]> =
                        seen.iter().flat_map(|seen| seen.landmarks.points()).map(|p| [p.x, p.y]).collect();
                    let probabilities: serde_json::Map<String, serde_json::Value> =
                        face.probabilities.iter().map(|(label, p)| (label.to_string(), (*p).into())).collect();
                    serde_json::json!({
                        "box": [b.x, b.y, b.width, b.height],
                        "score": seen.as_ref().map(|seen| seen.score),
                        "landmarks": landmarks,
                        "expression": face.expression.map(|e| e.to_string()),
                        "probabilities": probabilities,
                        "valence": face.valence.map(Valence::value),
                        "arousal": face.arousal.map(Arousal::value),
                        "is_proxy": face.is_proxy,
                    })
                })
                .collect();
            serde_json::json!({
                "path": picture.path.to_string_lossy(),
                "width": picture.size.map(|s| s.0),
                "height": picture.size.map(|s| s.1),
                "error": picture.error,
                "faces": faces,
            })
        })
        .collect()
}

/// Predictions as the contract's CSV, one row a face, readable by `affectory evaluate`.
pub struct Table {
    writer: csv::Writer<Vec<u8>>,
}

impl Table {
    /// A table with a column `p_LABEL` for each label.
    pub fn new(labels: &LabelSet) -> anyhow::Result<Self> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let head = ["image", "expression", "valence", "arousal"].map(String::from);
        let probabilities = labels.labels().iter().map(|label| format!("p_{label}"));
        writer.write_record(head.into_iter().chain(probabilities))?;
        Ok(Self { writer })
    }

    /// Adds a face; a head that the model lacks leaves its fields empty.
    pub fn add(&mut self, name: &str, face: &Prediction) -> anyhow::Result<()> {
        let mut row = vec![
            name.to_owned(),
            face.expression.map(|e| e.to_string()).unwrap_or_default(),
            face.valence.map(|valence| valence.value().to_string()).unwrap_or_default(),
            face.arousal.map(|arousal| arousal.value().to_string()).unwrap_or_default(),
        ];
        row.extend(face.probabilities.iter().map(|(_, p)| p.to_string()));
        Ok(self.writer.write_record(row)?)
    }

    /// The table's text.
    pub fn finish(self) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.writer.into_inner()?)?)
    }
}
