//! How is a CSV from outside read record by record, so that no line of it fills memory and every refusal names its line?

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use csv::StringRecord;

use crate::EvaluateError;

/// Most bytes of one record: what no honest line reaches, so that a file without line ends cannot fill memory.
const MAX_RECORD_BYTES: usize = 1 << 20;

/// A CSV file with a header, blank lines left out.
pub(crate) struct Records<'a, R> {
    csv: csv::Reader<RecordLimit<R>>,
    left: Rc<Cell<usize>>,
    record: StringRecord,
    n_fields: usize,
    file: &'a str,
}

impl<'a, R: Read> Records<'a, R> {
    /// Reads the header; `file` names the file in messages.
    ///
    /// # Errors
    /// [`EvaluateError::Unreadable`], as for every record: no UTF-8, a line of more than 1 MiB.
    pub(crate) fn open(reader: R, file: &'a str) -> Result<(Self, StringRecord), EvaluateError> {
        let left = Rc::new(Cell::new(MAX_RECORD_BYTES));
        // Only \n ends a line, as the parser counts lines wrongly for \r\n; the \r is trimmed with the cell.
        let mut csv = csv::ReaderBuilder::new()
            .terminator(csv::Terminator::Any(b'\n'))
            .flexible(true)
            .from_reader(RecordLimit { inner: reader, left: Rc::clone(&left) });
        let header = csv.headers().map_err(|error| unreadable(file, &error))?.clone();
        Ok((Self { csv, left, record: StringRecord::new(), n_fields: header.len(), file }, header))
    }

    /// The next record and its line, from 1; `None` at the end.
    ///
    /// # Errors
    /// [`EvaluateError::Unreadable`], also for another number of fields than the header's.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &StringRecord)>, EvaluateError> {
        loop {
            self.left.set(MAX_RECORD_BYTES);
            if !self.csv.read_record(&mut self.record).map_err(|error| unreadable(self.file, &error))? {
                return Ok(None);
            }
            let line = self.record.position().map_or(0, csv::Position::line);
            if self.record.len() == 1 && self.record[0].trim().is_empty() {
                continue;
            }
            if self.record.len() != self.n_fields {
                let reason = format!("{} fields where the header has {}", self.record.len(), self.n_fields);
                return Err(EvaluateError::Unreadable { file: self.file.to_owned(), line: Some(line), reason });
            }
            return Ok(Some((line, &self.record)));
        }
    }
}

/// Hands on at most [`MAX_RECORD_BYTES`] until the count is set back.
struct RecordLimit<R> {
    inner: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for RecordLimit<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 1 MiB; is this a CSV file?"));
        }
        let allowed = buffer.len().min(left);
        let n_read = self.inner.read(&mut buffer[..allowed])?;
        self.left.set(left - n_read);
        Ok(n_read)
    }
}

fn unreadable(file: &str, error: &csv::Error) -> EvaluateError {
    let line = error.position().map(csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8".into(),
        _ => error.to_string(),
    };
    EvaluateError::Unreadable { file: file.to_owned(), line, reason }
}

/// At most 80 characters of what came from outside, without control characters.
pub(crate) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(80).is_some() {
        short.push_str("...");
    }
    short
}
