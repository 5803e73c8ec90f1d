//! How does an evaluation look on a terminal, in Markdown, in a paper, as a picture?

use std::fmt::Write as _;

use crate::bootstrap::Interval;
use crate::evaluation::Evaluation;
use crate::intervals::Intervals;
use crate::metric::Metric;
use crate::regression::RegressionScore;
use crate::subgroup::{GROUP_METRICS, Subgroups};

/// What a table is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for a terminal.
    Text,
    /// A pipe table.
    Markdown,
    /// A `tabular` with the rules of the `booktabs` package.
    Latex,
}

/// Rows of cells, the first row the header, the first column the names.
pub(crate) type Cells = Vec<Vec<String>>;

/// Which of the two dimensions a row is about.
type Dimension = fn(&Evaluation) -> &RegressionScore;

/// Metrics as rows and runs as columns, laid out as AffectNet's tables are; `-` is undefined.
pub fn comparison_table(runs: &[(&str, &Evaluation)], format: Format) -> String {
    let figure = |name: &str, value: &dyn Fn(&Evaluation) -> Option<f64>| {
        let values = runs.iter().map(|(_, run)| decimal(value(run)));
        std::iter::once(name.to_owned()).chain(values).collect::<Vec<_>>()
    };
    let mut cells =
        vec![std::iter::once(String::new()).chain(runs.iter().map(|(name, _)| (*name).to_owned())).collect()];
    cells.push(std::iter::once("images".to_owned()).chain(runs.iter().map(|(_, run)| run.n.to_string())).collect());
    cells.push(figure("accuracy", &|run| run.accuracy));
    cells.push(figure("balanced accuracy", &|run| run.balanced_accuracy));
    cells.push(figure("F1 (macro)", &|run| run.f1_macro));
    cells.push(figure("F1 (weighted)", &|run| run.f1_weighted));
    cells.push(figure("kappa", &|run| run.cohen_kappa));
    cells.push(figure("alpha", &|run| run.krippendorff_alpha));
    cells.push(figure("AUC", &|run| run.roc_auc_macro));
    cells.push(figure("AUC-PR", &|run| run.average_precision_macro));
    cells.push(figure("accuracy, skew-normalised", &|run| run.skew_normalised.accuracy));
    cells.push(figure("F1, skew-normalised", &|run| run.skew_normalised.f1_macro));
    cells.push(figure("kappa, skew-normalised", &|run| run.skew_normalised.cohen_kappa));
    cells.push(figure("alpha, skew-normalised", &|run| run.skew_normalised.krippendorff_alpha));
    let dimensions: [(&str, Dimension); 2] = [("valence", |run| &run.valence), ("arousal", |run| &run.arousal)];
    for (name, of) in dimensions {
        cells.push(figure(&format!("{name} RMSE"), &|run| of(run).rmse));
        cells.push(figure(&format!("{name} CORR"), &|run| of(run).corr));
        cells.push(figure(&format!("{name} SAGR"), &|run| of(run).sagr));
        cells.push(figure(&format!("{name} CCC"), &|run| of(run).ccc));
    }
    // A figure that no run has would only be a line of dashes.
    cells.retain(|row| row[0].is_empty() || row[1..].iter().any(|cell| cell != "-"));
    render(&cells, format)
}

/// All figures over the classes and of both dimensions, each with its interval; `-` is undefined.
pub fn figure_table(evaluation: &Evaluation, intervals: &Intervals, format: Format) -> String {
    let header = ["", "predictions", &format!("{:.0} % interval", intervals.bootstrap.confidence * 100.0)];
    let mut cells: Cells = vec![header.map(str::to_owned).to_vec()];
    cells.push(vec!["images".to_owned(), evaluation.n.to_string(), String::new()]);
    for metric in Metric::all(0).into_iter().filter(|metric| metric.of(evaluation).is_some()) {
        let bounds = intervals.of(metric).map(bounds).unwrap_or_default();
        cells.push(vec![metric.name(), decimal(metric.of(evaluation)), bounds]);
    }
    render(&cells, format)
}

/// The figures of every subgroup of one column; the names of its values are text from outside.
pub fn subgroup_table(column: &Subgroups, format: Format) -> String {
    let names = GROUP_METRICS.iter().map(|metric| metric.name());
    let mut cells: Cells = vec![std::iter::once(column.name.clone()).chain(names).collect()];
    cells[0].push("images".to_owned());
    for group in &column.groups {
        let value = if group.value.is_empty() { "(not given)" } else { &group.value };
        let figure = |(figure, interval): &(Option<f64>, Option<Interval>)| {
            format!("{} {}", decimal(*figure), interval.map(bounds).unwrap_or_default()).trim_end().to_owned()
        };
        let mut row: Vec<String> = std::iter::once(value.to_owned()).chain(group.figures.iter().map(figure)).collect();
        row.push(group.n.to_string());
        cells.push(row);
    }
    render(&cells, format)
}

/// An interval as the tables show it.
pub(crate) fn bounds(interval: Interval) -> String {
    format!("[{}, {}]", decimal(Some(interval.low)), decimal(Some(interval.high)))
}

/// Precision, recall, F1, AUC, average precision and number of true images of each class.
pub fn class_table(evaluation: &Evaluation, format: Format) -> String {
    let header = ["class", "precision", "recall", "F1", "AUC", "AUC-PR", "images"];
    let mut cells: Cells = vec![header.map(str::to_owned).to_vec()];
    for (class, label) in evaluation.labels.iter().enumerate() {
        cells.push(vec![
            label.to_string(),
            decimal(evaluation.precision_per_class[class]),
            decimal(evaluation.recall_per_class[class]),
            decimal(evaluation.f1_per_class[class]),
            decimal(evaluation.roc_auc_per_class[class]),
            decimal(evaluation.average_precision_per_class[class]),
            evaluation.confusion[class].iter().sum::<u64>().to_string(),
        ]);
    }
    render(&cells, format)
}

/// The confusion matrix: truth by row, prediction by column, counts.
pub fn confusion_table(evaluation: &Evaluation, format: Format) -> String {
    let names = evaluation.labels.iter().map(ToString::to_string);
    let mut cells: Cells = vec![std::iter::once("truth \\ predicted".to_owned()).chain(names).collect()];
    for (label, row) in evaluation.labels.iter().zip(&evaluation.confusion) {
        cells.push(std::iter::once(label.to_string()).chain(row.iter().map(ToString::to_string)).collect());
    }
    render(&cells, format)
}

/// The confusion matrix as a picture that stands alone: share of the row by shade, share and count as text.
pub fn confusion_svg(evaluation: &Evaluation) -> String {
    const CELL: usize = 64;
    const MARGIN: usize = 96;
    let side = MARGIN + CELL * evaluation.labels.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n\
         <title>Confusion matrix: truth by row, prediction by column</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        width = side + 16,
        height = side + 16,
    );
    // Writing into a String cannot fail.
    for (place, label) in evaluation.labels.iter().enumerate() {
        let middle = MARGIN + CELL * place + CELL / 2;
        let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", MARGIN - 8);
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>", MARGIN - 8, middle + 4);
    }
    for (row_idx, row) in evaluation.confusion.iter().enumerate() {
        let total: u64 = row.iter().sum();
        for (column_idx, &count) in row.iter().enumerate() {
            let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
            let (x, y) = (MARGIN + CELL * column_idx, MARGIN + CELL * row_idx);
            // From white to a dark blue; the text turns white where it would drown.
            let shade = |full: f64| (255.0 - share * (255.0 - full)).round() as u8;
            let ink = if share > 0.5 { "#ffffff" } else { "#1a1a1a" };
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"rgb({},{},{})\" stroke=\"#d0d0d0\"/>\
                 <text x=\"{cx}\" y=\"{}\" text-anchor=\"middle\" fill=\"{ink}\">{:.0} %</text>\
                 <text x=\"{cx}\" y=\"{}\" text-anchor=\"middle\" font-size=\"10\" fill=\"{ink}\">{count}</text>",
                shade(8.0),
                shade(69.0),
                shade(148.0),
                y + CELL / 2,
                share * 100.0,
                y + CELL / 2 + 15,
                cx = x + CELL / 2,
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

pub(crate) fn decimal(value: Option<f64>) -> String {
    // Adding 0 keeps a rounded -0.000 from showing.
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.3}", (value * 1000.0).round() / 1000.0 + 0.0))
}

pub(crate) fn render(cells: &Cells, format: Format) -> String {
    let escaped: Cells = cells.iter().map(|row| row.iter().map(|cell| escape(cell, format)).collect()).collect();
    let n_columns = escaped.first().map_or(0, Vec::len);
    let width = |column: usize| escaped.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let line = |row: &Vec<String>, separator: &str| {
        let padded = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join(separator)
    };
    let mut out = String::new();
    for (row_idx, row) in escaped.iter().enumerate() {
        match format {
            Format::Text => out.push_str(line(row, "  ").trim_end()),
            Format::Markdown => {
                let _ = write!(out, "| {} |", line(row, " | "));
                if row_idx == 0 {
                    let _ = write!(out, "\n|---|{}", "---:|".repeat(n_columns.saturating_sub(1)));
                }
            }
            Format::Latex => {
                if row_idx == 0 {
                    let _ =
                        writeln!(out, "\\begin{{tabular}}{{l{}}}\n\\toprule", "r".repeat(n_columns.saturating_sub(1)));
                }
                let _ = write!(out, "{} \\\\", line(row, " & "));
                if row_idx == 0 {
                    out.push_str("\n\\midrule");
                }
            }
        }
        out.push('\n');
    }
    if format == Format::Latex {
        out.push_str("\\bottomrule\n\\end{tabular}\n");
    }
    out
}

/// A run's name comes from outside: it must not end a cell or start a command.
pub fn escape(cell: &str, format: Format) -> String {
    let mut out = String::with_capacity(cell.len());
    for c in cell.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        match (format, c) {
            (Format::Markdown, '|' | '\\' | '`' | '*' | '_' | '<' | '[' | ']') => out.extend(['\\', c]),
            (Format::Latex, '&' | '%' | '$' | '#' | '_' | '{' | '}') => out.extend(['\\', c]),
            // At the start of a row it would be an argument of the line break before it.
            (Format::Latex, '[') if out.is_empty() => out.push_str("{[}"),
            (Format::Latex, '\\') => out.push_str("\\textbackslash{}"),
            (Format::Latex, '~') => out.push_str("\\textasciitilde{}"),
            (Format::Latex, '^') => out.push_str("\\textasciicircum{}"),
            (Format::Text | Format::Markdown | Format::Latex, c) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use affectory_core::LabelSet;

    use super::*;
    use crate::{Missing, evaluate, read_table};

    fn example() -> Evaluation {
        let truth = read_table("image,expression,valence\na,happy,0.5\nb,sad,-0.5\n".as_bytes(), "t").unwrap();
        let guess = read_table("image,expression,valence\na,happy,0.5\nb,happy,-0.3\n".as_bytes(), "p").unwrap();
        evaluate(&truth, &guess, &LabelSet::parse("happy,sad").unwrap(), Missing::Refused).unwrap()
    }

    #[test]
    fn a_confusion_matrix_is_aligned() {
        let expected = "truth \\ predicted  happy  sad\n\
                        happy                  1    0\n\
                        sad                    1    0\n";
        assert_eq!(confusion_table(&example(), Format::Text), expected);
    }

    #[test]
    fn names_from_outside_cannot_break_a_table() {
        let evaluation = example();
        let latex = comparison_table(&[("my_run & \\input{x}", &evaluation)], Format::Latex);
        assert!(latex.contains("my\\_run \\& \\textbackslash{}input\\{x\\} \\\\"), "{latex}");
        assert!(latex.starts_with("\\begin{tabular}{lr}\n\\toprule\n") && latex.ends_with("\\end{tabular}\n"));
        let markdown = comparison_table(&[("a|b\nc", &evaluation)], Format::Markdown);
        assert!(markdown.starts_with("| ") && markdown.contains("a\\|b c"), "{markdown}");
        assert!(markdown.contains("| valence RMSE") && !markdown.contains("arousal"), "{markdown}");
    }

    #[test]
    fn the_picture_shows_every_cell() {
        let svg = confusion_svg(&example());
        assert_eq!(svg.matches("<rect x=").count(), 4);
        assert!(svg.contains(">100 %<") && svg.ends_with("</svg>\n"));
    }
}
