//! Is a submission what the challenge asks for? Asked of the list of images alone, before it counts, and without labels.

use std::collections::HashMap;

use affectory_catalog::ChallengeTask;
use affectory_core::{Expression, LabelSet};
use affectory_evaluate::read_table;

/// Largest submission, bytes.
pub const MAX_SUBMISSION_BYTES: usize = 64 << 20;

/// Problems told of one file.
const MAX_PROBLEMS: usize = 20;

/// Characters of a cell that are repeated to whoever wrote it.
const QUOTED: usize = 80;

/// Names of images told where many are missing.
const NAMED: usize = 5;

/// How far the sum of a row's probabilities may be from 1: what rounding in a file does.
const ROUNDING: f64 = 1e-3;

/// What a challenge asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Names of the images, each once.
    pub inputs: &'a [String],
    /// The categories.
    pub labels: &'a LabelSet,
    /// The tasks.
    pub tasks: &'a [ChallengeTask],
}

/// Looks a file through. It answers a task where it has that task's columns, and then for every image; it must answer one.
///
/// # Errors
/// The first 20 problems, each a sentence with the line it is about. What is quoted from the file is cut to 80
/// characters and has no control characters.
pub fn check_submission(bytes: &[u8], asked: &Asked<'_>) -> Result<Vec<ChallengeTask>, Vec<String>> {
    if bytes.len() > MAX_SUBMISSION_BYTES {
        return Err(vec![format!("the file is larger than {} MiB", MAX_SUBMISSION_BYTES >> 20)]);
    }
    let mut csv = csv::ReaderBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let is_header_there = csv.read_byte_record(&mut record).map_err(|error| vec![format!("line 1: {error}")])?;
    if !is_header_there {
        return Err(vec!["the file is empty".into()]);
    }
    let columns = Columns::find(&record, asked)?;
    let mut found = Found { problems: Vec::new(), first_lines: HashMap::with_capacity(asked.inputs.len()) };
    let known: HashMap<&str, usize> =
        asked.inputs.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let mut is_seen = vec![false; asked.inputs.len()];
    while found.problems.len() < MAX_PROBLEMS {
        match csv.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                found.problems.push(format!("the file cannot be read on: {error}"));
                break;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() == 1 && record[0].trim_ascii().is_empty() {
            continue;
        }
        if let Some(place) = found.check(line, &record, &columns, &known) {
            is_seen[place] = true;
        }
    }
    let is_cut = found.problems.len() >= MAX_PROBLEMS;
    let missing: Vec<&str> =
        asked.inputs.iter().zip(&is_seen).filter(|(_, seen)| !**seen).map(|(name, _)| name.as_str()).collect();
    if !missing.is_empty() && !is_cut {
        let names: Vec<String> = missing.iter().take(NAMED).map(|name| quoted(name)).collect();
        let more = if missing.len() > NAMED { ", ..." } else { "" };
        found.problems.push(format!(
            "{} of {} images are missing: {}{more}",
            missing.len(),
            asked.inputs.len(),
            names.join(", ")
        ));
    }
    if is_cut {
        found.problems.truncate(MAX_PROBLEMS);
        found.problems.push("looked no further after these".into());
    }
    // What scores it must be able to read it.
    if found.problems.is_empty()
        && let Err(error) = read_table(bytes, "the file")
    {
        found.problems.push(error.to_string());
    }
    if found.problems.is_empty() { Ok(columns.tasks) } else { Err(found.problems) }
}

/// Text from outside as it may be shown: at most 80 characters, without control characters, in quotes.
pub fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(QUOTED).is_some() {
        short.push_str("...");
    }
    format!("`{short}`")
}

/// Where in a record each thing stands.
struct Columns<'a> {
    n_fields: usize,
    image: usize,
    expression: Option<usize>,
    values: Vec<(&'static str, usize)>,
    scores: Vec<usize>,
    labels: &'a LabelSet,
    tasks: Vec<ChallengeTask>,
}

impl<'a> Columns<'a> {
    fn find(header: &csv::ByteRecord, asked: &Asked<'a>) -> Result<Self, Vec<String>> {
        let names: Vec<String> = header
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_lowercase())
            .collect();
        let mut problems = Vec::new();
        let mut place = |wanted: &str| {
            let mut places = names.iter().enumerate().filter(|(_, name)| *name == wanted).map(|(place, _)| place);
            let first = places.next();
            if places.next().is_some() {
                problems.push(format!("line 1: column `{wanted}` stands twice"));
            }
            first
        };
        let (image, expression) = (place("image"), place("expression"));
        let values: Vec<(&'static str, usize)> =
            ["valence", "arousal"].into_iter().filter_map(|name| Some((name, place(name)?))).collect();
        let scores: Vec<Option<usize>> =
            asked.labels.labels().iter().map(|label| place(&format!("p_{label}"))).collect();
        let has_scores = names.iter().any(|name| name.starts_with("p_"));
        for (label, _) in asked.labels.labels().iter().zip(&scores).filter(|(_, place)| has_scores && place.is_none()) {
            problems.push(format!("line 1: column `p_{label}` is missing: give all probabilities, or none"));
        }
        let is_known = |name: &str| {
            name.parse::<Expression>().is_ok_and(|label| name == label.name() && asked.labels.class_of(label).is_some())
        };
        for name in names.iter().filter_map(|name| name.strip_prefix("p_")).filter(|name| !is_known(name)).take(NAMED) {
            problems.push(format!(
                "line 1: `p_{}` is about no category of this challenge ({})",
                &quoted(name)[1..].trim_end_matches('`'),
                asked.labels
            ));
        }
        if values.len() == 1 {
            problems.push(format!("line 1: there is `{}` alone: give valence and arousal, or neither", values[0].0));
        }
        let has = |task: &ChallengeTask| match task {
            ChallengeTask::Expression => expression.is_some() || has_scores,
            ChallengeTask::ValenceArousal => values.len() == 2,
        };
        let tasks: Vec<ChallengeTask> = asked.tasks.iter().copied().filter(has).collect();
        if tasks.is_empty() {
            problems.push(format!(
                "line 1: no task is answered (header: {}; expected: image,expression,valence,arousal and optional \
                 p_<label>)",
                quoted(&names.join(","))
            ));
        }
        let Some(image) = image else {
            problems.push(format!("line 1: column `image` is missing (header: {})", quoted(&names.join(","))));
            return Err(problems);
        };
        problems.truncate(MAX_PROBLEMS);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            n_fields: header.len(),
            image,
            expression,
            values,
            scores: scores.into_iter().flatten().collect(),
            labels: asked.labels,
            tasks,
        })
    }
}

struct Found {
    problems: Vec<String>,
    first_lines: HashMap<usize, u64>,
}

impl Found {
    /// One line; says which image it answers, if it is one of the challenge's.
    fn check(
        &mut self,
        line: u64,
        record: &csv::ByteRecord,
        columns: &Columns<'_>,
        known: &HashMap<&str, usize>,
    ) -> Option<usize> {
        let mut tell = |problem: String| self.problems.push(format!("line {line}: {problem}"));
        if record.len() != columns.n_fields {
            tell(format!("{} fields where the header has {}", record.len(), columns.n_fields));
            return None;
        }
        let Ok(cells) =
            record.iter().map(|cell| std::str::from_utf8(cell).map(str::trim)).collect::<Result<Vec<_>, _>>()
        else {
            tell("the text is not UTF-8".into());
            return None;
        };
        let image = cells[columns.image];
        let place = known.get(image).copied();
        match place {
            None => tell(format!("image {} is none of this challenge", quoted(image))),
            Some(place) => {
                if let Some(first) = self.first_lines.insert(place, line) {
                    tell(format!("image {} stands already on line {first}", quoted(image)));
                    self.first_lines.insert(place, first);
                }
            }
        }
        if let Some(column) = columns.expression {
            let is_label =
                |text: &str| text.parse::<Expression>().is_ok_and(|label| columns.labels.class_of(label).is_some());
            match cells[column] {
                "" if columns.scores.is_empty() => tell("the expression is missing".into()),
                "" => {}
                text if is_label(text) => {}
                text => {
                    tell(format!("expression {} is no category of this challenge ({})", quoted(text), columns.labels))
                }
            }
        }
        for &(name, column) in &columns.values {
            match cells[column] {
                "" => tell(format!("the {name} is missing")),
                text if text.parse::<f64>().is_ok_and(|value| (-1.0..=1.0).contains(&value)) => {}
                text => tell(format!("{name} {} is no number from -1 to 1", quoted(text))),
            }
        }
        if !columns.scores.is_empty() {
            let scores = columns
                .scores
                .iter()
                .map(|&column| cells[column].parse::<f64>().ok().filter(|p| (0.0..=1.0).contains(p)));
            match scores.sum::<Option<f64>>() {
                None => tell("a probability is missing, or no number from 0 to 1".into()),
                Some(sum) if (sum - 1.0).abs() > ROUNDING => {
                    tell(format!("the probabilities add up to {sum:.4}, not to 1"))
                }
                Some(_) => {}
            }
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8]) -> Result<Vec<ChallengeTask>, String> {
        let inputs: Vec<String> = (1..=20).map(|n| format!("{n}.png")).collect();
        let labels = LabelSet::parse("happy,sad").unwrap();
        let asked = Asked { inputs: &inputs, labels: &labels, tasks: &ChallengeTask::ALL };
        check_submission(text, &asked).map_err(|problems| {
            assert!(!problems.is_empty() && problems.len() <= MAX_PROBLEMS + 1, "{problems:?}");
            problems.join("\n")
        })
    }

    fn told(text: &str) -> String {
        check(text.as_bytes()).expect_err("must be refused")
    }

    /// A file of twenty right lines with some put in their place.
    fn file(header: &str, right: &str, others: &[(usize, &str)]) -> String {
        let mut lines: Vec<String> = (1..=20).map(|n| format!("{n}.png{right}")).collect();
        for (line, other) in others {
            lines[line - 2] = (*other).to_owned();
        }
        format!("{header}\n{}\n", lines.join("\n"))
    }

    #[test]
    fn tasks_are_those_whose_columns_are_there() {
        let both = ChallengeTask::ALL.to_vec();
        assert_eq!(check(file("image,expression,valence,arousal", ",happy,0.5,-1", &[]).as_bytes()), Ok(both));
        let scores = file("image,p_sad,p_happy", ",0.3333,0.6667", &[]);
        assert_eq!(check(scores.as_bytes()), Ok(vec![ChallengeTask::Expression]));
        let crlf = format!("\u{feff}{}", file("image,expression", ",1", &[]).replace('\n', "\r\n"));
        assert_eq!(check(crlf.as_bytes()), Ok(vec![ChallengeTask::Expression]), "index 1 is happy");
    }

    #[test]
    fn every_problem_names_its_line() {
        let all = "image,expression,valence,arousal";
        let one = |line: &str| told(&file(all, ",happy,0.5,-1", &[(17, line)]));
        assert_eq!(one("16.png,hapy,0,0"), "line 17: expression `hapy` is no category of this challenge (happy,sad)");
        assert_eq!(one("16.png,fear,0,0"), "line 17: expression `fear` is no category of this challenge (happy,sad)");
        assert_eq!(one("16.png,sad,1.01,0"), "line 17: valence `1.01` is no number from -1 to 1");
        assert_eq!(one("16.png,sad,0,NaN"), "line 17: arousal `NaN` is no number from -1 to 1");
        assert_eq!(one("16.png,sad,,0"), "line 17: the valence is missing");
        assert_eq!(
            one("16.png,sad,0"),
            "line 17: 3 fields where the header has 4\n1 of 20 images are missing: `16.png`"
        );
        assert!(one("1.png,sad,0,0").starts_with("line 17: image `1.png` stands already on line 2\n1 of 20 images"));
        assert!(one("x\u{1b}[31m,sad,0,0").starts_with("line 17: image `x?[31m` is none of this challenge"));
        assert!(one(&format!("{},sad,0,0", "y".repeat(500))).contains(&format!("`{}...`", "y".repeat(80))));
        let sums = file("image,p_happy,p_sad", ",0.5,0.5", &[(17, "16.png,0.5,0.6")]);
        assert_eq!(told(&sums), "line 17: the probabilities add up to 1.1000, not to 1");
        let negative = file("image,p_happy,p_sad", ",0.5,0.5", &[(17, "16.png,-0.5,1.5")]);
        assert!(told(&negative).contains("line 17: a probability is missing, or no number from 0 to 1"));
    }

    #[test]
    fn headers_that_cannot_be_meant_are_refused() {
        assert!(told("").contains("empty"));
        assert!(told("a,b\n").contains("`image` is missing"));
        assert!(told("image,valence\n").contains("`valence` alone"));
        assert!(told("image,p_happy\n").contains("`p_sad` is missing"));
        assert!(told("image,p_happy,p_sad,p_fear\n").contains("`p_fear` is about no category"));
        assert!(told("image,image,expression\n").contains("`image` stands twice"));
        assert!(told("image,note\n").contains("no task is answered"));
        assert!(told("image,expression\n").contains("20 of 20 images are missing: `1.png`, `2.png`"));
    }

    #[test]
    fn hostile_bytes_are_refused_and_little_is_said() {
        let nonsense = file("image,expression", ",x", &[]).repeat(9);
        assert_eq!(told(&nonsense).lines().count(), MAX_PROBLEMS + 1);
        assert!(check(&[0x89, b'P', b'N', b'G', 0xff, 0, b'\n']).is_err());
        assert!(check(b"image,expression\n\xff\xfe,happy\n").unwrap_err().contains("line 2: the text is not UTF-8"));
        assert!(check(&vec![b'x'; MAX_SUBMISSION_BYTES + 1]).unwrap_err().contains("64 MiB"));
        arbtest::arbtest(|u| {
            let bytes: Vec<u8> = u.arbitrary()?;
            let _ = check(&bytes);
            let _ = check(&[b"image,expression,valence,arousal\n".as_slice(), &bytes].concat());
            Ok(())
        });
    }
}
