//! How is a table of plain rows written as Parquet, however many there are?
//!
//! Rows are held column by column until a row group is full, then written, so memory does not grow with the table.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::ReleaseError;

/// Rows in a row group: of forty columns 2 MB.
const GROUP_ROWS: usize = 8192;

/// What a column holds; any of its values may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8.
    Text,
    /// 64-bit integers.
    Int,
    /// 32-bit floats.
    Float,
    /// 64-bit floats.
    Double,
    /// Yes or no.
    Bool,
}

/// One field of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    /// Missing.
    Null,
    /// For [`ColumnType::Text`].
    Text(&'a str),
    /// For [`ColumnType::Int`].
    Int(i64),
    /// For [`ColumnType::Float`].
    Float(f32),
    /// For [`ColumnType::Double`].
    Double(f64),
    /// For [`ColumnType::Bool`].
    Bool(bool),
}

/// A column's values since the last row group.
#[derive(Debug, Default)]
struct Column {
    present: Vec<i16>,
    texts: Vec<ByteArray>,
    ints: Vec<i64>,
    floats: Vec<f32>,
    doubles: Vec<f64>,
    bools: Vec<bool>,
}

/// A Parquet file that is being written.
pub struct RowTable {
    path: PathBuf,
    writer: SerializedFileWriter<BufWriter<File>>,
    types: Vec<ColumnType>,
    columns: Vec<Column>,
    n_rows: usize,
}

impl RowTable {
    /// Creates the file.
    ///
    /// # Errors
    /// [`ReleaseError::File`] if it cannot be created.
    pub fn create(path: &Path, columns: &[(String, ColumnType)]) -> Result<Self, ReleaseError> {
        let file = File::create(path).map_err(ReleaseError::file("create", path))?;
        let open = || {
            let fields = columns.iter().map(|(name, kind)| field(name, *kind)).collect::<Result<_, _>>()?;
            let schema = Type::group_type_builder("row").with_fields(fields).build()?;
            SerializedFileWriter::new(BufWriter::new(file), Arc::new(schema), Arc::new(WriterProperties::default()))
        };
        let writer = open().map_err(|error| failed(path, error))?;
        let types: Vec<ColumnType> = columns.iter().map(|(_, kind)| *kind).collect();
        let columns = types.iter().map(|_| Column::default()).collect();
        Ok(Self { path: path.to_owned(), writer, types, columns, n_rows: 0 })
    }

    /// Adds a row, its fields in the order of the columns.
    ///
    /// # Errors
    /// [`ReleaseError::Layout`] for fields that are not the columns'; [`ReleaseError::File`] if it cannot be written.
    pub fn add(&mut self, fields: &[Field<'_>]) -> Result<(), ReleaseError> {
        let is_right = |(kind, field): (&ColumnType, &Field<'_>)| {
            matches!(
                (kind, field),
                (_, Field::Null)
                    | (ColumnType::Text, Field::Text(_))
                    | (ColumnType::Int, Field::Int(_))
                    | (ColumnType::Float, Field::Float(_))
                    | (ColumnType::Double, Field::Double(_))
                    | (ColumnType::Bool, Field::Bool(_))
            )
        };
        if fields.len() != self.types.len() || !self.types.iter().zip(fields).all(is_right) {
            let reason = "a row does not fit the columns".to_owned();
            return Err(ReleaseError::Layout { path: self.path.clone(), reason });
        }
        for (column, field) in self.columns.iter_mut().zip(fields) {
            column.present.push(i16::from(*field != Field::Null));
            match *field {
                Field::Null => {}
                Field::Text(text) => column.texts.push(text.into()),
                Field::Int(int) => column.ints.push(int),
                Field::Float(float) => column.floats.push(float),
                Field::Double(double) => column.doubles.push(double),
                Field::Bool(bool) => column.bools.push(bool),
            }
        }
        self.n_rows += 1;
        if self.n_rows >= GROUP_ROWS { self.write_group() } else { Ok(()) }
    }

    /// Writes what is left and the footer, without which nobody can read the file, and flushes it to the disk.
    ///
    /// # Errors
    /// [`ReleaseError::File`].
    pub fn finish(mut self) -> Result<(), ReleaseError> {
        if self.n_rows > 0 {
            self.write_group()?;
        }
        let mut file = self.writer.into_inner().map_err(|error| failed(&self.path, error))?;
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(ReleaseError::file("write", &self.path))
    }

    fn write_group(&mut self) -> Result<(), ReleaseError> {
        self.n_rows = 0;
        let mut write = || {
            let mut group = self.writer.next_row_group()?;
            let mut idx = 0;
            while let Some(mut writer) = group.next_column()? {
                let column = self.columns.get_mut(idx).map(std::mem::take).unwrap_or_default();
                let present = Some(column.present.as_slice());
                match writer.untyped() {
                    ColumnWriter::ByteArrayColumnWriter(w) => w.write_batch(&column.texts, present, None)?,
                    ColumnWriter::Int64ColumnWriter(w) => w.write_batch(&column.ints, present, None)?,
                    ColumnWriter::FloatColumnWriter(w) => w.write_batch(&column.floats, present, None)?,
                    ColumnWriter::DoubleColumnWriter(w) => w.write_batch(&column.doubles, present, None)?,
                    ColumnWriter::BoolColumnWriter(w) => w.write_batch(&column.bools, present, None)?,
                    _ => return Err(ParquetError::NYI("a column of another type".into())),
                };
                writer.close()?;
                idx += 1;
            }
            group.close()?;
            Ok(())
        };
        write().map_err(|error| failed(&self.path, error))
    }
}

fn field(name: &str, kind: ColumnType) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical) = match kind {
        ColumnType::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        ColumnType::Int => (PhysicalType::INT64, None),
        ColumnType::Float => (PhysicalType::FLOAT, None),
        ColumnType::Double => (PhysicalType::DOUBLE, None),
        ColumnType::Bool => (PhysicalType::BOOLEAN, None),
    };
    let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    Ok(Arc::new(builder.with_logical_type(logical).build()?))
}

fn failed(path: &Path, error: ParquetError) -> ReleaseError {
    ReleaseError::file("write", path)(io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::RowAccessor as _;

    #[test]
    fn rows_of_several_groups_come_back_with_their_types_and_gaps() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("rows.parquet");
        let columns = [("name", ColumnType::Text), ("n", ColumnType::Int), ("x", ColumnType::Float)]
            .map(|(name, kind)| (name.to_owned(), kind));
        let mut table = RowTable::create(&path, &columns)?;
        let n_rows = GROUP_ROWS as i64 + 10;
        for n in 0..n_rows {
            let x = if n % 2 == 0 { Field::Null } else { Field::Float(n as f32 / 8.0) };
            table.add(&[Field::Text("a"), Field::Int(n), x])?;
        }
        assert!(matches!(table.add(&[Field::Int(1)]), Err(ReleaseError::Layout { .. })));
        table.finish()?;
        let reader = SerializedFileReader::new(File::open(&path)?)?;
        assert_eq!(reader.num_row_groups(), 2);
        for (n, row) in reader.get_row_iter(None)?.enumerate() {
            let row = row?;
            assert_eq!(row.get_long(1)?, n as i64);
            assert_eq!(row.get_float(2).ok(), (n % 2 == 1).then_some(n as f32 / 8.0));
        }
        Ok(())
    }
}
