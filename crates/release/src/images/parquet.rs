//! How is a shard written as a Parquet table?

use std::io;
use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::entry::Entry;
use super::pipeline::ShardWriter;
use super::shard_file::ShardFile;
use crate::ReleaseError;

/// What is said of the place an image was met first stands in columns; all places are JSON in `sightings`.
const SCHEMA: &str = "message image {
    required binary key (STRING);
    required binary image;
    required binary format (STRING);
    required int32 width;
    required int32 height;
    required binary sha256 (STRING);
    required binary original_format (STRING);
    required int32 original_width;
    required int32 original_height;
    required int64 original_bytes;
    optional binary phash (STRING);
    optional binary url (STRING);
    optional binary page_url (STRING);
    optional binary title (STRING);
    optional binary license (STRING);
    optional binary license_url (STRING);
    optional binary creator (STRING);
    optional binary attribution (STRING);
    optional binary provider (STRING);
    optional binary engine (STRING);
    optional binary query (STRING);
    optional binary language (STRING);
    optional binary expression (STRING);
    optional int64 rank;
    optional int64 found (TIMESTAMP(MILLIS,true));
    required binary sightings (STRING);
}";

/// Bytes of images in a row group: what is held in memory before it is written.
const GROUP_BYTES: usize = 16 << 20;

/// One value of a row.
enum Cell {
    Null,
    Text(ByteArray),
    Int(i64),
}

impl Cell {
    fn optional(text: Option<&str>) -> Cell {
        text.map_or(Cell::Null, Cell::text)
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.into())
    }
}

pub(super) struct ParquetShard {
    writer: SerializedFileWriter<ShardFile>,
    rows: Vec<Vec<Cell>>,
    n_bytes: usize,
}

impl ParquetShard {
    pub(super) fn new(file: ShardFile) -> Result<Self, ReleaseError> {
        let failed = file.failed();
        Self::open(file).map_err(|error| failed(io::Error::other(error)))
    }

    fn open(file: ShardFile) -> Result<Self, ParquetError> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        // Pictures are compressed already, no two are alike, and no range of them helps a reader.
        let image = || ColumnPath::from("image");
        let properties = WriterProperties::builder()
            .set_column_dictionary_enabled(image(), false)
            .set_column_statistics_enabled(image(), EnabledStatistics::None)
            .build();
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        Ok(Self { writer, rows: Vec::new(), n_bytes: 0 })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.rows);
        self.n_bytes = 0;
        let mut group = self.writer.next_row_group()?;
        let mut idx = 0;
        while let Some(mut column) = group.next_column()? {
            let cells = || rows.iter().filter_map(|row| row.get(idx));
            let present: Vec<i16> = cells().map(|cell| i16::from(!matches!(cell, Cell::Null))).collect();
            let ints = || cells().filter_map(|cell| if let Cell::Int(int) = cell { Some(*int) } else { None });
            match column.untyped() {
                ColumnWriter::ByteArrayColumnWriter(column) => {
                    let texts = cells().filter_map(|cell| if let Cell::Text(text) = cell { Some(text) } else { None });
                    column.write_batch(&texts.cloned().collect::<Vec<_>>(), Some(&present), None)?;
                }
                ColumnWriter::Int32ColumnWriter(column) => {
                    let ints: Vec<i32> = ints().map(|int| i32::try_from(int).unwrap_or(i32::MAX)).collect();
                    column.write_batch(&ints, Some(&present), None)?;
                }
                ColumnWriter::Int64ColumnWriter(column) => {
                    column.write_batch(&ints().collect::<Vec<_>>(), Some(&present), None)?;
                }
                _ => return Err(ParquetError::NYI("a column of another type".into())),
            }
            column.close()?;
            idx += 1;
        }
        group.close()?;
        Ok(())
    }

    fn failed(&self, error: ParquetError) -> ReleaseError {
        self.writer.inner().failed()(io::Error::other(error))
    }
}

impl ShardWriter for ParquetShard {
    fn add(&mut self, entry: &Entry, image: &[u8]) -> Result<(), ReleaseError> {
        let sightings = serde_json::to_string(entry.sightings);
        let sightings = sightings.map_err(|error| self.writer.inner().failed()(error.into()))?;
        let first = entry.sightings.first();
        let expression = first.and_then(|first| first.expression).map(|expression| expression.name());
        self.n_bytes += image.len() + sightings.len();
        // In the order of the schema.
        self.rows.push(vec![
            Cell::text(&entry.key),
            Cell::Text(image.into()),
            Cell::text(entry.format),
            Cell::Int(entry.width.into()),
            Cell::Int(entry.height.into()),
            Cell::text(entry.sha256),
            Cell::text(entry.original_format),
            Cell::Int(entry.original_width.into()),
            Cell::Int(entry.original_height.into()),
            Cell::Int(i64::try_from(entry.original_bytes).unwrap_or(i64::MAX)),
            Cell::optional(entry.phash.as_deref()),
            Cell::optional(entry.url),
            Cell::optional(first.and_then(|first| first.page_url.as_deref())),
            Cell::optional(first.and_then(|first| first.title.as_deref())),
            Cell::optional(first.and_then(|first| first.license.as_deref())),
            Cell::optional(first.and_then(|first| first.license_url.as_deref())),
            Cell::optional(first.and_then(|first| first.creator.as_deref())),
            Cell::optional(first.and_then(|first| first.attribution.as_deref())),
            Cell::optional(first.map(|first| first.provider.as_str())),
            Cell::optional(first.map(|first| first.engine.as_str())),
            Cell::optional(first.map(|first| first.query.as_str())),
            Cell::optional(first.map(|first| first.language.as_str())),
            Cell::optional(expression),
            first.map_or(Cell::Null, |first| Cell::Int(first.rank.into())),
            first.map_or(Cell::Null, |first| Cell::Int(first.found_ms)),
            Cell::text(&sightings),
        ]);
        if self.n_bytes >= GROUP_BYTES { self.write_group().map_err(|error| self.failed(error)) } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<ShardFile, ReleaseError> {
        if !self.rows.is_empty() {
            self.write_group().map_err(|error| self.failed(error))?;
        }
        let failed = self.writer.inner().failed();
        self.writer.into_inner().map_err(|error| failed(io::Error::other(error)))
    }
}
