//! How many faces of each category are in each split, as a table people can publish?

use affectory_core::{LabelSet, Split};

use crate::ReleaseItem;

/// Faces by category (rows, label set's order) and split (columns).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountTable {
    labels: LabelSet,
    rows: Vec<(String, [u64; 3])>,
}

impl CountTable {
    /// Nothing counted yet.
    pub fn new(labels: &LabelSet) -> Self {
        let names = labels.labels().iter().map(ToString::to_string).chain(["total".to_owned()]);
        Self { labels: labels.clone(), rows: names.map(|name| (name, [0; 3])).collect() }
    }

    /// Counts items.
    pub fn of<'a>(items: impl IntoIterator<Item = &'a ReleaseItem>, labels: &LabelSet) -> Self {
        let mut table = Self::new(labels);
        items.into_iter().for_each(|item| table.add(item));
        table
    }

    /// Counts one more, if its category is in the label set.
    pub fn add(&mut self, item: &ReleaseItem) {
        let Some(class) = self.labels.class_of(item.expression) else { return };
        let total = self.rows.len() - 1;
        for row in [class, total] {
            self.rows[row].1[item.split as usize] += 1;
        }
    }

    /// Names of the rows and their counts in train, valid and test; the last row is the total.
    pub fn rows(&self) -> &[(String, [u64; 3])] {
        &self.rows
    }

    /// For a page or a README.
    pub fn to_markdown(&self) -> String {
        let head = "| expression | train | validation | test | all |\n|---|---:|---:|---:|---:|\n".to_owned();
        self.rows.iter().fold(head, |text, (name, n)| {
            let [train, valid, test] = n.map(thousands);
            text + &format!("| {name} | {train} | {valid} | {test} | {} |\n", thousands(n.iter().sum()))
        })
    }

    /// For a program.
    pub fn to_csv(&self) -> String {
        self.rows.iter().fold("expression,train,valid,test,all\n".to_owned(), |text, (name, n)| {
            text + &format!("{name},{},{},{},{}\n", n[0], n[1], n[2], n.iter().sum::<u64>())
        })
    }

    /// For a paper (package `booktabs`).
    pub fn to_latex(&self) -> String {
        let mut text =
            "\\begin{tabular}{lrrrr}\n\\toprule\nExpression & Train & Validation & Test & All \\\\\n\\midrule\n"
                .to_owned();
        for (at, (name, n)) in self.rows.iter().enumerate() {
            if at + 1 == self.rows.len() {
                text += "\\midrule\n";
            }
            let [train, valid, test] = n.map(thousands);
            text += &format!("{name} & {train} & {valid} & {test} & {} \\\\\n", thousands(n.iter().sum()));
        }
        text + "\\bottomrule\n\\end{tabular}\n"
    }

    /// Faces in a split.
    pub fn total(&self, split: Split) -> u64 {
        self.rows.last().map_or(0, |(_, row)| row[split as usize])
    }
}

/// 414799 -> 414,799
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::tests::item;

    #[test]
    fn the_table_reads_like_affectnets() {
        let items: Vec<_> = (0..1500).map(|_| item(1)).collect();
        let table = CountTable::of(&items, &LabelSet::seven());
        assert!(table.to_markdown().contains("| happy | 1,500 | 0 | 0 | 1,500 |"));
        assert!(table.to_csv().ends_with("total,1500,0,0,1500\n"));
        assert!(table.to_latex().contains("happy & 1,500 & 0 & 0 & 1,500 \\\\"));
        assert_eq!(table.rows().len(), 8);
    }
}
