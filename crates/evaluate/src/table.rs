//! What do a truth file and a predictions file say, line by line?

use std::collections::HashMap;
use std::io::Read;

use affectory_core::{CoreError, Expression};

use crate::EvaluateError;
use crate::records::{Records, shortened};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name of the image.
    pub image: String,
    /// Line in the file, from 1.
    pub line: u64,
    /// Category; `None` = not labelled.
    pub expression: Option<Expression>,
    /// Valence; finite, and from a network it may leave [-1, 1].
    pub valence: Option<f64>,
    /// Arousal; likewise.
    pub arousal: Option<f64>,
}

/// A file of the contract: `image,expression,valence,arousal` and optional `p_<label>` and `group_<name>` columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its name for messages.
    pub file: String,
    /// Its lines; every image stands once.
    pub rows: Vec<Row>,
    /// Categories with a `p_<label>` column, in the order of the columns.
    pub score_labels: Vec<Expression>,
    /// The scores, row by row, `score_labels.len()` each; NaN where the cell is empty.
    pub scores: Vec<f64>,
    /// Subgroups, in the order of the columns.
    pub groups: Vec<GroupColumn>,
}

/// A column `group_<name>`: which subgroup each image belongs to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupColumn {
    /// Its name without `group_`, lower-case.
    pub name: String,
    /// Its different values in order of their first line; text from outside.
    pub values: Vec<String>,
    /// Row by row the place of its value in `values`.
    pub of_row: Vec<u32>,
}

/// Where in a record each thing stands.
struct Columns {
    image: usize,
    expression: Option<usize>,
    valence: Option<usize>,
    arousal: Option<usize>,
    scores: Vec<(Expression, usize)>,
    groups: Vec<(String, usize)>,
}

/// Reads a truth or predictions table. Columns may stand in any order, unknown ones are ignored, a byte order
/// mark and CRLF are accepted. `file` names it in messages.
///
/// # Errors
/// Names file, line and column of the first thing that cannot be meant: no UTF-8, a line of more than 1 MiB or
/// with another number of fields, an unknown label, a number that is not finite, AffectNet's -2, an image twice.
pub fn read_table(reader: impl Read, file: &str) -> Result<Table, EvaluateError> {
    let (mut records, header) = Records::open(reader, file)?;
    let columns = Columns::find(&header, file)?;
    let mut table = Table {
        file: file.to_owned(),
        rows: Vec::new(),
        score_labels: columns.scores.iter().map(|&(label, _)| label).collect(),
        scores: Vec::new(),
        groups: columns
            .groups
            .iter()
            .map(|(name, _)| GroupColumn { name: name.clone(), ..Default::default() })
            .collect(),
    };
    let mut places: Vec<HashMap<String, u32>> = vec![HashMap::new(); columns.groups.len()];
    let names: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    while let Some((line, record)) = records.next()? {
        let bad = |column: usize, problem: String| EvaluateError::BadValue {
            file: file.to_owned(),
            line,
            column: names[column].clone(),
            value: shortened(&record[column]),
            problem,
        };
        let number = |column: Option<usize>| match column.map(|column| (column, record[column].trim())) {
            None | Some((_, "")) => Ok(None),
            Some((column, text)) => finite(text).map(Some).map_err(|problem| bad(column, problem)),
        };
        let dimension = |column: Option<usize>| match number(column)? {
            Some(-2.0) => {
                Err(bad(column.unwrap_or(0), "is AffectNet's mark for unlabelled: leave the cell empty".into()))
            }
            value => Ok(value),
        };
        let image = record[columns.image].trim();
        if image.is_empty() {
            return Err(bad(columns.image, "is empty: every line needs the name of its image".into()));
        }
        let expression = match columns.expression.map(|column| (column, record[column].trim())) {
            None | Some((_, "")) => None,
            Some((column, text)) => {
                Some(text.parse().map_err(|_: CoreError| {
                    bad(column, "is no label: give neutral, happy, sad, surprise, fear, disgust, anger, contempt, none, uncertain, non-face, or their index 0 to 10".into())
                })?)
            }
        };
        let (valence, arousal) = (dimension(columns.valence)?, dimension(columns.arousal)?);
        for &(_, column) in &columns.scores {
            table.scores.push(number(Some(column))?.unwrap_or(f64::NAN));
        }
        for ((group, places), &(_, column)) in table.groups.iter_mut().zip(&mut places).zip(&columns.groups) {
            let value = shortened(record[column].trim());
            let next = group.values.len() as u32;
            let place = *places.entry(value).or_insert_with_key(|value| {
                group.values.push(value.clone());
                next
            });
            group.of_row.push(place);
        }
        table.rows.push(Row { image: image.to_owned(), line, expression, valence, arousal });
    }
    table.index()?;
    Ok(table)
}

impl Table {
    /// From an image's name to its row.
    ///
    /// # Errors
    /// [`EvaluateError::ImageTwice`].
    pub fn index(&self) -> Result<HashMap<&str, usize>, EvaluateError> {
        let mut index = HashMap::with_capacity(self.rows.len());
        for (row_idx, row) in self.rows.iter().enumerate() {
            if let Some(first) = index.insert(row.image.as_str(), row_idx) {
                return Err(EvaluateError::ImageTwice {
                    file: self.file.clone(),
                    image: shortened(&row.image),
                    first_line: self.rows[first].line,
                    line: row.line,
                });
            }
        }
        Ok(index)
    }
}

impl Columns {
    fn find(header: &csv::StringRecord, file: &str) -> Result<Self, EvaluateError> {
        let names: Vec<String> =
            header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_lowercase()).collect();
        let bad = |problem: String| EvaluateError::BadHeader {
            file: file.to_owned(),
            problem,
            header: shortened(&names.join(",")),
        };
        let place = |wanted: &str| -> Result<Option<usize>, EvaluateError> {
            let mut places = names.iter().enumerate().filter(|(_, name)| *name == wanted).map(|(place, _)| place);
            match (places.next(), places.next()) {
                (place, None) => Ok(place),
                _ => Err(bad(format!("column `{wanted}` stands twice"))),
            }
        };
        let mut scores: Vec<(Expression, usize)> = Vec::new();
        for (column, label) in names.iter().enumerate().filter_map(|(i, name)| Some((i, name.strip_prefix("p_")?))) {
            let label = label.parse().map_err(|error| bad(format!("column `p_{}`: {error}", shortened(label))))?;
            if scores.iter().any(|&(other, _)| other == label) {
                return Err(bad(format!("two columns hold the scores of `{label}`")));
            }
            scores.push((label, column));
        }
        let mut groups: Vec<(String, usize)> = Vec::new();
        for (column, name) in names.iter().enumerate().filter_map(|(i, name)| Some((i, name.strip_prefix("group_")?))) {
            if groups.iter().any(|(other, _)| other == name) {
                return Err(bad(format!("column `group_{}` stands twice", shortened(name))));
            }
            groups.push((shortened(name), column));
        }
        let image = place("image")?.ok_or_else(|| bad("column `image` is missing".into()))?;
        let (expression, valence, arousal) = (place("expression")?, place("valence")?, place("arousal")?);
        if expression.is_none() && valence.is_none() && arousal.is_none() && scores.is_empty() {
            return Err(bad("there is no column to score beside `image`".into()));
        }
        Ok(Self { image, expression, valence, arousal, scores, groups })
    }
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err("is not finite: leave the cell empty where there is no value".into()),
        Err(_) => Err("is not a number (the decimal sign is a point)".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn refusal(text: &str) -> String {
        read_table(text.as_bytes(), "truth.csv").expect_err("must be refused").to_string()
    }

    #[test]
    fn labels_are_names_or_indices_and_empty_is_unlabelled() {
        let text =
            "\u{feff}image,expression,valence,arousal\r\na.png,happiness,0.5,-1\r\nb.png,1,,\r\nc.png,,0,0\r\n\r\n";
        let table = read_table(text.as_bytes(), "t").unwrap();
        let labels: Vec<_> = table.rows.iter().map(|row| row.expression).collect();
        assert_eq!(labels, [Some(Expression::Happy), Some(Expression::Happy), None]);
        assert_eq!((table.rows[0].valence, table.rows[1].valence, table.rows[2].line), (Some(0.5), None, 4));
    }

    #[test]
    fn a_refusal_names_file_line_column_and_the_way_out() {
        let told = refusal("image,expression,valence,arousal\na,happy,0,0\nb,hapy,0,0\n");
        assert!(told.starts_with("`truth.csv` line 3, column expression: `hapy` is no label"), "{told}");
        assert!(refusal("image,valence\na,-2\n").contains("leave the cell empty"));
        assert!(refusal("image,valence\na,NaN\n").contains("not finite"));
        assert!(refusal("image,valence\na,\"0,5\"\n").contains("decimal sign"));
        assert!(refusal("image,valence\na,0.1\nb,0.2\na,0.3\n").contains("line 4: image `a` stands already on line 2"));
        assert!(refusal("image,valence\na,0.1,7\n").contains("line 2: 3 fields where the header has 2"));
        assert!(refusal("file,valence\na,0.1\n").contains("`image` is missing"));
        assert!(refusal("image,p_hapy\na,0.1\n").contains("p_hapy"));
        assert!(refusal("image,valence\n,0.1\n").contains("is empty"));
        assert!(refusal("").contains("`image` is missing"));
    }

    #[test]
    fn hostile_bytes_are_refused_without_filling_memory() {
        let endless = io::repeat(b'x').take(1 << 40);
        assert!(read_table(endless, "t").is_err_and(|error| error.to_string().contains("longer than 1 MiB")));
        let quoted = io::Read::chain(&b"image,valence\n\""[..], io::repeat(b'\n').take(1 << 40));
        assert!(read_table(quoted, "t").is_err());
        assert!(read_table(&[0x89, b'P', b'N', b'G', 0xff, 0, b'\n'][..], "t").is_err());
    }
}
