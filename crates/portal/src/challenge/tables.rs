//! How do the final tables look, as CSV for programs and LaTeX for papers?

use std::fmt::Write as _;

use affectory_catalog::{BoardRow, ChallengeMetric, ChallengeTask};
use affectory_evaluate::{Format, escape};

/// A task's final board.
#[derive(Debug, Clone, PartialEq)]
pub struct FinalBoard {
    /// The task.
    pub task: ChallengeTask,
    /// What is ranked by.
    pub metric: ChallengeMetric,
    /// Its lines, best first.
    pub rows: Vec<BoardRow>,
}

/// All boards in one CSV: task, metric, rank, tied, team, submission, score, low, high. Team names are text from outside:
/// control characters become spaces, and one that a spreadsheet would take for a formula gets an apostrophe before it.
pub fn final_csv(boards: &[FinalBoard]) -> String {
    let mut out = csv::Writer::from_writer(Vec::new());
    // Writing into memory cannot fail.
    let _ = out.write_record(["task", "metric", "rank", "tied", "team", "submission", "score", "low", "high"]);
    for board in boards {
        for row in &board.rows {
            let _ = out.write_record([
                board.task.name(),
                board.metric.name(),
                &row.rank.to_string(),
                if row.is_tied { "1" } else { "0" },
                &cell(&row.team),
                &row.submission_id.to_string(),
                &format!("{:.4}", row.score),
                &format!("{:.4}", row.low),
                &format!("{:.4}", row.high),
            ]);
        }
    }
    String::from_utf8(out.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// A `tabular` for each task; ranks that are shared have a star.
pub fn final_latex(challenge: &str, boards: &[FinalBoard]) -> String {
    let text = |text: &str| escape(text, Format::Latex);
    let mut out = format!("% Final results of {}: private half of the test set\n", text(challenge));
    out += "% 95 % bootstrap intervals in brackets; *: cannot be told from the first of its rank at 5 % (Holm)\n";
    for board in boards {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "% {}\n\\begin{{tabular}}{{rlr}}\n\\hline", board.task.name());
        let _ = writeln!(out, "rank & team & {} \\\\\n\\hline", text(board.metric.name()));
        for row in &board.rows {
            let star = if row.is_tied { "*" } else { "" };
            let (team, score) = (text(&row.team), row.score);
            let _ = writeln!(out, "{}{star} & {team} & {score:.3} [{:.3}, {:.3}] \\\\", row.rank, row.low, row.high);
        }
        out += "\\hline\n\\end{tabular}\n";
    }
    out
}

fn cell(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim_start().starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use affectory_core::{SubmissionId, TeamId};

    use super::*;

    #[test]
    fn hostile_names_stay_text() {
        let row = |team: &str, rank| BoardRow {
            team_id: TeamId(1),
            team: team.into(),
            submission_id: SubmissionId(7),
            rank,
            is_tied: rank == 1,
            score: 0.61234,
            low: 0.5,
            high: 0.7,
        };
        let rows = vec![
            row("=HYPERLINK(\"http://evil\",\"x\")", 1),
            row("a,b\n\"c\"", 1),
            row("\\input{/etc/passwd} 50% & more $x$ _^~#", 3),
        ];
        let boards = [FinalBoard { task: ChallengeTask::Expression, metric: ChallengeMetric::BalancedAccuracy, rows }];
        let csv = final_csv(&boards);
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[1],
            "expression,balanced_accuracy,1,1,\"'=HYPERLINK(\"\"http://evil\"\",\"\"x\"\")\",7,0.6123,0.5000,0.7000"
        );
        assert!(lines[2].contains("\"a,b \"\"c\"\"\""), "{}", lines[2]);
        let latex = final_latex("c", &boards);
        assert!(latex.contains("\\textbackslash{}input\\{/etc/passwd\\} 50\\% \\& more \\$x\\$ \\_"), "{latex}");
        assert!(
            latex.contains("1* & =HYPERLINK") && latex.contains("balanced\\_accuracy") && !latex.contains("\\input")
        );
    }
}
