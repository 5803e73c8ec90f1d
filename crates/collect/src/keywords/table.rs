//! What would a plan ask, by language and expression, before anything is sent?

use std::fmt::{self, Write as _};
use std::sync::Arc;

use affectory_core::Expression;
use serde_json::{Value, json};

use super::language::{Language, PlannedQuery, isolated};

/// Examples shown of each language, each of another expression.
const N_EXAMPLES: usize = 4;

/// How many queries a plan has, and a few of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanTable {
    /// One row a language, in the order of the plan.
    pub rows: Vec<PlanRow>,
}

/// One language of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    /// The language.
    pub language: Arc<Language>,
    /// Queries for each of the eight expressions, in AffectNet's order.
    pub counts: [usize; 8],
    /// A few of its queries.
    pub examples: Vec<PlanExample>,
}

/// One query of a plan, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanExample {
    /// The intended expression.
    pub expression: Expression,
    /// The query's text, as it is asked.
    pub text: String,
}

/// Counts a plan.
pub fn plan_table(queries: &[PlannedQuery]) -> PlanTable {
    let mut cells: Vec<(&Arc<Language>, [Vec<&str>; 8])> = Vec::new();
    for query in queries {
        let known = cells.iter().position(|(language, _)| language.code == query.language.code);
        let row = known.unwrap_or_else(|| {
            cells.push((&query.language, Default::default()));
            cells.len() - 1
        });
        if let Some(cell) = cells[row].1.get_mut(query.expression.index()) {
            cell.push(&query.text);
        }
    }
    let rows = cells.into_iter().map(|(language, cells)| PlanRow {
        language: Arc::clone(language),
        counts: std::array::from_fn(|index| cells[index].len()),
        examples: examples(&cells),
    });
    PlanTable { rows: rows.collect() }
}

/// From expressions far apart, and from different places in their lists, so that they are not all of one template.
fn examples(cells: &[Vec<&str>; 8]) -> Vec<PlanExample> {
    let filled: Vec<usize> = (0..8).filter(|&index| !cells[index].is_empty()).collect();
    let n = N_EXAMPLES.min(filled.len());
    let example = |nth: usize| {
        let index = filled[(2 * nth + 1) * filled.len() / (2 * n)];
        let cell = &cells[index];
        PlanExample { expression: Expression::ALL[index], text: cell[nth * cell.len() / n].to_owned() }
    };
    (0..n).map(example).collect()
}

impl PlanRow {
    /// Queries of all expressions.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }
}

impl PlanTable {
    /// Queries of the whole plan.
    pub fn total(&self) -> usize {
        self.rows.iter().map(PlanRow::total).sum()
    }

    /// Queries for each of the eight expressions, over all languages.
    pub fn totals(&self) -> [usize; 8] {
        std::array::from_fn(|index| self.rows.iter().map(|row| row.counts[index]).sum())
    }

    /// The table for programs. Texts stand as they are asked, without isolates; `language` and `direction` are what
    /// HTML's `lang` and `dir` want.
    pub fn json(&self) -> Value {
        let languages: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let Language { code, name, native_name, direction, negatives } = &*row.language;
                let examples: Vec<Value> = row
                    .examples
                    .iter()
                    .map(|example| json!({ "expression": example.expression.name(), "text": example.text }))
                    .collect();
                json!({
                    "language": code, "name": name, "native_name": native_name, "direction": direction.html(),
                    "counts": counts_json(&row.counts), "total": row.total(),
                    "negatives": negatives, "examples": examples,
                })
            })
            .collect();
        json!({ "total": self.total(), "counts": counts_json(&self.totals()), "languages": languages })
    }
}

fn counts_json(counts: &[usize; 8]) -> Value {
    Value::Object(
        Expression::ALL.into_iter().zip(counts).map(|(e, &n)| (e.name().to_owned(), Value::from(n))).collect(),
    )
}

/// The table for a terminal: counts in columns, then examples. Texts of a language stand last in their line.
impl fmt::Display for PlanTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = |language: &Language| format!("{} {}", language.code, language.name);
        let widths = self.rows.iter().map(|row| label(&row.language).chars().count());
        let width = widths.chain(["language".len()]).max().unwrap_or_default();
        let affective = || Expression::ALL.into_iter().filter(|e| e.is_affective());
        let mut line = format!("{:width$}", "language");
        for expression in affective() {
            write!(line, "  {:>8}", expression.name())?;
        }
        writeln!(f, "{line}  {:>8}", "total")?;
        let rows = self.rows.iter().map(|row| (label(&row.language), row.counts));
        for (label, counts) in rows.chain([("total".to_owned(), self.totals())]) {
            let mut line = format!("{label:width$}");
            for count in counts.iter().chain([&counts.iter().sum()]) {
                write!(line, "  {count:>8}")?;
            }
            writeln!(f, "{line}")?;
        }
        writeln!(f, "\nexamples, and what is left out")?;
        for PlanRow { language, examples, .. } in &self.rows {
            let code = &language.code;
            for PlanExample { expression, text } in examples {
                writeln!(f, "{code:6}  {:8}  {}", expression.name(), isolated(text, language.direction))?;
            }
            if !language.negatives.is_empty() {
                let comma = match language.direction {
                    super::Direction::LeftToRight => ", ",
                    super::Direction::RightToLeft => "، ",
                };
                let terms = isolated(&language.negatives.join(comma), language.direction);
                writeln!(f, "{code:6}  {:8}  {terms}", "not")?;
            }
        }
        Ok(())
    }
}
