//! How do a video's answers become rows, one a face and frame, as CSV or Parquet, without waiting in memory?

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use affectory_core::{Arousal, Expression, Valence};
use affectory_learn::{Prediction, Predictor};
use affectory_release::rows::{ColumnType, Field, RowTable};
use affectory_video::FaceNow;
use anyhow::{Context as _, bail};

use crate::cli::Predict;
use crate::commands::shown;

/// The tables that the user asked for.
pub struct VideoTables {
    csv: Option<CsvTable>,
    parquet: Option<(RowTable, Place)>,
    labels: Vec<Expression>,
    is_left: bool,
}

struct CsvTable {
    writer: csv::Writer<Box<dyn Write>>,
    /// `None` for standard output.
    place: Option<Place>,
}

/// Where a file lies in the end, and under which name until then.
struct Place {
    partial: PathBuf,
    place: PathBuf,
}

impl VideoTables {
    /// Creates the files, so that what cannot be written is known before anything is read.
    pub fn create(args: &Predict, predictor: &Predictor) -> anyhow::Result<Self> {
        let labels = predictor.labels().labels().to_vec();
        let columns = columns(&labels);
        let csv = match &args.csv {
            None => None,
            Some(path) => {
                let (writer, place): (Box<dyn Write>, _) = if path.as_os_str() == "-" {
                    (Box::new(std::io::stdout()), None)
                } else {
                    let place = Place::of(path)?;
                    (Box::new(BufWriter::new(place.create()?)), Some(place))
                };
                let mut writer = csv::Writer::from_writer(writer);
                writer.write_record(columns.iter().map(|(name, _)| name))?;
                Some(CsvTable { writer, place })
            }
        };
        let parquet = match &args.parquet {
            None => None,
            Some(path) => {
                let place = Place::of(path)?;
                Some((RowTable::create(&place.partial, &columns)?, place))
            }
        };
        Ok(Self { csv, parquet, labels, is_left: false })
    }

    /// Adds a frame: a row a face, or one without a face where nobody is seen.
    pub fn add(&mut self, video: &str, number: u64, time: f64, faces: &[FaceNow]) -> anyhow::Result<()> {
        if faces.is_empty() {
            self.add_row(&self.row(video, number, time, None))?;
        }
        for face in faces {
            self.add_row(&self.row(video, number, time, Some(face)))?;
        }
        if let Some(CsvTable { writer, place: None }) = &mut self.csv {
            // Whoever reads along waits for this frame.
            match writer.flush() {
                // The reader has seen enough.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => self.is_left = true,
                other => other.context("failed to write to standard output")?,
            }
        }
        Ok(())
    }

    /// Whether whoever read along on standard output has gone.
    pub fn is_left(&self) -> bool {
        self.is_left
    }

    /// Gives the files their names.
    pub fn finish(self) -> anyhow::Result<()> {
        if let Some(CsvTable { writer, place }) = self.csv.filter(|_| !self.is_left) {
            let shown = place.as_ref().map_or("standard output".into(), |place| shown(&place.place));
            let flush = || -> std::io::Result<()> {
                writer.into_inner().map_err(|error| error.into_error())?.flush()?;
                place.map_or(Ok(()), |place| place.put())
            };
            flush().with_context(|| format!("failed to write {shown}"))?;
        }
        if let Some((table, place)) = self.parquet {
            table.finish()?;
            let shown = shown(&place.place);
            place.put().with_context(|| format!("failed to write {shown}"))?;
        }
        Ok(())
    }

    fn add_row(&mut self, row: &[Field<'_>]) -> anyhow::Result<()> {
        if let Some(CsvTable { writer, place }) = &mut self.csv {
            let place = place.as_ref();
            let failed = || match place {
                None => "failed to write to standard output".to_owned(),
                Some(Place { partial, .. }) => format!("failed to write {}", shown(partial)),
            };
            match writer.write_record(row.iter().map(text)) {
                Err(error) if place.is_none() && is_closed(&error) => self.is_left = true,
                other => other.with_context(failed)?,
            }
        }
        if let Some((table, _)) = &mut self.parquet {
            table.add(row)?;
        }
        Ok(())
    }

    /// In the order of [`columns`].
    fn row<'a>(&self, video: &'a str, number: u64, time: f64, face: Option<&'a FaceNow>) -> Vec<Field<'a>> {
        let float = |value: Option<f32>| value.map_or(Field::Null, Field::Float);
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let mut row = vec![Field::Text(video), Field::Int(number), Field::Double(time)];
        let Some(face) = face else {
            row.resize(columns(&self.labels).len(), Field::Null);
            return row;
        };
        let b = face.bounding_box;
        row.push(Field::Int(face.face.into()));
        row.extend([b.x, b.y, b.width, b.height].map(Field::Float));
        row.push(float(face.score));
        row.extend(affect(&face.smooth));
        for label in &self.labels {
            row.push(float(face.smooth.probability(*label)));
        }
        row.extend(affect(&face.raw));
        row.push(match (face.smooth.valence, face.smooth.arousal) {
            (None, None) => Field::Null,
            _ => Field::Bool(face.smooth.is_proxy),
        });
        row
    }
}

impl Place {
    /// Refuses what a file cannot take the place of.
    fn of(path: &Path) -> anyhow::Result<Self> {
        let metadata = std::fs::metadata(path);
        if metadata.is_ok_and(|metadata| !metadata.is_file()) {
            bail!("{} is there already and no file", shown(path));
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".part");
        Ok(Self { partial: partial.into(), place: path.to_owned() })
    }

    fn create(&self) -> anyhow::Result<File> {
        File::create(&self.partial).with_context(|| format!("failed to create {}", shown(&self.partial)))
    }

    fn put(self) -> std::io::Result<()> {
        std::fs::rename(&self.partial, &self.place)
    }
}

/// Whether whoever read a stream has gone.
fn is_closed(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn columns(labels: &[Expression]) -> Vec<(String, ColumnType)> {
    let named = |name: &str, kind| (name.to_owned(), kind);
    let mut columns = vec![
        named("video", ColumnType::Text),
        named("frame", ColumnType::Int),
        named("time", ColumnType::Double),
        named("face", ColumnType::Int),
    ];
    columns.extend(["x", "y", "width", "height", "score"].map(|name| named(name, ColumnType::Float)));
    columns.push(named("expression", ColumnType::Text));
    columns.extend(["valence", "arousal"].map(|name| named(name, ColumnType::Float)));
    columns.extend(labels.iter().map(|label| named(&format!("p_{label}"), ColumnType::Float)));
    columns.push(named("raw_expression", ColumnType::Text));
    columns.extend(["raw_valence", "raw_arousal"].map(|name| named(name, ColumnType::Float)));
    columns.push(named("is_proxy", ColumnType::Bool));
    columns
}

/// Expression, valence, arousal.
fn affect(prediction: &Prediction) -> [Field<'static>; 3] {
    let float = |value: Option<f32>| value.map_or(Field::Null, Field::Float);
    [
        prediction.expression.map_or(Field::Null, |label| Field::Text(label.name())),
        float(prediction.valence.map(Valence::value)),
        float(prediction.arousal.map(Arousal::value)),
    ]
}

fn text(field: &Field<'_>) -> String {
    match field {
        Field::Null => String::new(),
        Field::Text(text) => (*text).to_owned(),
        Field::Int(int) => int.to_string(),
        Field::Float(float) => float.to_string(),
        Field::Double(double) => double.to_string(),
        Field::Bool(bool) => bool.to_string(),
    }
}
