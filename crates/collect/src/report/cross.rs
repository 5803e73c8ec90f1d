//! How many addresses lie in each cell of a table of engines, languages or expressions, and in its sums?

use std::collections::{BTreeMap, BTreeSet};

use affectory_catalog::{AddressCounts, FindingCount, FindingPlace};
use affectory_core::Expression;

/// By what a table is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// The engine that answered.
    Engine,
    /// The language asked in.
    Language,
    /// The expression asked for.
    Expression,
}

/// A table of two axes. Sums count an address once, however many cells it lies in: so they may be less than their cells.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Crossing {
    /// What rows are.
    pub by: Axis,
    /// What columns are.
    pub across: Axis,
    /// Names of rows: engines, codes of languages, or names of expressions (empty: none).
    pub rows: Vec<String>,
    /// Names of columns, likewise.
    pub columns: Vec<String>,
    /// Row by row.
    pub cells: Vec<Vec<AddressCounts>>,
    /// Of each row.
    pub row_sums: Vec<AddressCounts>,
    /// Of each column.
    pub column_sums: Vec<AddressCounts>,
    /// Of the table.
    pub sum: AddressCounts,
}

/// The name of engines that have no line of their own.
pub(super) const OTHER_ENGINES: &str = "other engines";

/// Divides addresses by two axes. Engines come by their number of addresses, languages in the order of `languages`,
/// expressions in AffectNet's order.
pub(super) fn cross(findings: &[FindingCount], by: Axis, across: Axis, languages: &[String]) -> Crossing {
    let mut cells: BTreeMap<(String, String), AddressCounts> = BTreeMap::new();
    let (mut of_rows, mut of_columns) = (BTreeMap::new(), BTreeMap::new());
    let mut sum = AddressCounts::default();
    for FindingCount { places, counts } in findings {
        let pairs: BTreeSet<(&str, &str)> = places.iter().map(|place| (name(place, by), name(place, across))).collect();
        let rows: BTreeSet<&str> = pairs.iter().map(|pair| pair.0).collect();
        let columns: BTreeSet<&str> = pairs.iter().map(|pair| pair.1).collect();
        for (row, column) in pairs {
            add(cells.entry((row.to_owned(), column.to_owned())).or_default(), counts);
        }
        rows.into_iter().for_each(|row| add(of_rows.entry(row.to_owned()).or_default(), counts));
        columns.into_iter().for_each(|column| add(of_columns.entry(column.to_owned()).or_default(), counts));
        add(&mut sum, counts);
    }
    let (rows, columns) = (ordered(&of_rows, by, languages), ordered(&of_columns, across, languages));
    let cell = |row: &String, column: &String| cells.get(&(row.clone(), column.clone())).copied().unwrap_or_default();
    Crossing {
        by,
        across,
        cells: rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect(),
        row_sums: rows.iter().map(|row| of_rows.get(row).copied().unwrap_or_default()).collect(),
        column_sums: columns.iter().map(|column| of_columns.get(column).copied().unwrap_or_default()).collect(),
        rows,
        columns,
        sum,
    }
}

/// Gives the engines beyond the `limit` with most addresses one name, before anything is summed.
pub(super) fn fold_engines(findings: &mut [FindingCount], limit: usize) {
    let mut by_engine: BTreeMap<&str, u64> = BTreeMap::new();
    for FindingCount { places, counts } in &*findings {
        for engine in places.iter().map(|place| place.engine.as_str()).collect::<BTreeSet<_>>() {
            *by_engine.entry(engine).or_default() += counts.addresses;
        }
    }
    let mut ranked: Vec<(u64, &str)> = by_engine.into_iter().map(|(engine, n)| (n, engine)).collect();
    ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let kept: BTreeSet<String> = ranked.into_iter().take(limit).map(|(_, engine)| engine.to_owned()).collect();
    for place in findings.iter_mut().flat_map(|finding| &mut finding.places) {
        if !kept.contains(&place.engine) {
            place.engine = OTHER_ENGINES.to_owned();
        }
    }
}

fn name(place: &FindingPlace, axis: Axis) -> &str {
    match axis {
        Axis::Engine => &place.engine,
        Axis::Language => &place.language,
        Axis::Expression => place.expression.map_or("", Expression::name),
    }
}

fn add(sum: &mut AddressCounts, counts: &AddressCounts) {
    sum.addresses += counts.addresses;
    sum.fetched += counts.fetched;
    sum.usable += counts.usable;
}

fn ordered(sums: &BTreeMap<String, AddressCounts>, axis: Axis, languages: &[String]) -> Vec<String> {
    let mut names: Vec<String> = sums.keys().cloned().collect();
    let addresses = |name: &String| sums.get(name).map_or(0, |sum| sum.addresses);
    // Stable: names that are unknown stay in the order of the alphabet, at the end.
    match axis {
        Axis::Engine => names.sort_by_key(|name| (name == OTHER_ENGINES, std::cmp::Reverse(addresses(name)))),
        Axis::Language => {
            names.sort_by_key(|name| languages.iter().position(|known| known == name).unwrap_or(usize::MAX));
        }
        Axis::Expression => names.sort_by_key(|name| {
            name.parse::<Expression>().map_or(usize::MAX, |expression: Expression| expression.index())
        }),
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_found_in_several_cells_counts_once_in_their_sums() {
        let place = |engine: &str, language: &str, expression| FindingPlace {
            engine: engine.into(),
            language: language.into(),
            expression: Some(expression),
        };
        let both = [place("bing", "de", Expression::Fear), place("bing", "fa", Expression::Fear)];
        let counts = |addresses, fetched, usable| AddressCounts { addresses, fetched, usable };
        let findings = [
            FindingCount { places: both.to_vec(), counts: counts(10, 6, 3) },
            FindingCount { places: both[..1].to_vec(), counts: counts(5, 4, 1) },
        ];
        let table = cross(&findings, Axis::Engine, Axis::Language, &["fa".into(), "de".into()]);
        assert_eq!((table.rows, table.columns), (vec!["bing".to_owned()], vec!["fa".to_owned(), "de".to_owned()]));
        assert_eq!(table.cells, [[counts(10, 6, 3), counts(15, 10, 4)]]);
        assert_eq!((table.row_sums, table.sum), (vec![counts(15, 10, 4)], counts(15, 10, 4)));
    }
}
