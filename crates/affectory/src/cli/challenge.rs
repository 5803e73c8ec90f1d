//! What do the commands of a challenge take?

use std::num::NonZeroU32;
use std::path::PathBuf;

use affectory_core::Split;
use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum ChallengeCommand {
    /// Make the key under which labels are sealed; keep a copy where neither project nor database is
    Key(ChallengeKeyFile),
    /// Seal a truth, and publish the list of its images
    Create(ChallengeCreate),
    /// Print the names of the images to be answered
    Inputs(ChallengeName),
    /// Score what was handed in: the one process that has the key (AFFECTORY_CHALLENGE_KEY names its file)
    Score(ChallengeScore),
    /// How far each challenge is, and its public leaderboards
    Status,
    /// Print the final tables of a closed challenge
    Tables(ChallengeTables),
    /// Rank the teams on the private half, and reveal it; needs the key
    Close(ChallengeClose),
}

#[derive(Debug, Args)]
pub struct ChallengeKeyFile {
    /// A new file, outside the project
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct ChallengeName {
    /// The challenge
    pub name: String,
}

/// A task of a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// A category for each image
    Expression,
    /// Valence and arousal of each image
    ValenceArousal,
}

/// What the task `expression` is ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExpressionMetric {
    /// Share of right categories
    Accuracy,
    /// Mean recall over the categories
    BalancedAccuracy,
    /// Mean F1 over the categories
    F1Macro,
}

#[derive(Debug, Args)]
pub struct ChallengeCreate {
    /// Small letters, digits and hyphens; it stands in addresses
    pub name: String,
    /// The hidden labels: a CSV with image,expression,valence,arousal
    #[arg(long, value_name = "CSV", required_unless_present = "release", conflicts_with = "split")]
    pub truth: Option<PathBuf>,
    /// The release whose split is withheld (with --truth: only named on the page)
    #[arg(long)]
    pub release: Option<String>,
    /// Which split of the release
    #[arg(long, default_value = "test")]
    pub split: Split,
    /// Twice for both
    #[arg(long = "task", value_enum, required = true)]
    pub tasks: Vec<Task>,
    /// What the task `expression` is ranked by; valence-arousal is by the mean of both concordances
    #[arg(long, value_enum, default_value = "balanced-accuracy")]
    pub metric: ExpressionMetric,
    /// Categories
    #[arg(long, default_value = "neutral,happy,sad,surprise,fear,disgust,anger,contempt")]
    pub labels: String,
    /// What people call it [default: the name]
    #[arg(long)]
    pub title: Option<String>,
    /// A text file with what else participants must know
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// From when submissions are taken, UTC: 2026-12-01 or 2026-12-01T09:30
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    pub opens: i64,
    /// From when submissions are for the private half and show nothing, UTC
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    pub final_opens: i64,
    /// From when none is taken, UTC
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    pub closes: i64,
    /// Valid submissions that a team may make on one day, UTC
    #[arg(long, default_value = "5", value_name = "N")]
    pub per_day: NonZeroU32,
}

#[derive(Debug, Args)]
pub struct ChallengeScore {
    /// The challenge
    pub name: String,
    /// Go on, looking every two seconds
    #[arg(long)]
    pub watch: bool,
}

/// How a final table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For programs
    Csv,
    /// For papers
    Latex,
}

#[derive(Debug, Args)]
pub struct ChallengeTables {
    /// The challenge
    pub name: String,
    /// How they are written
    #[arg(long, value_enum, default_value = "csv")]
    pub format: TableFormat,
}

#[derive(Debug, Args)]
pub struct ChallengeClose {
    /// The challenge
    pub name: String,
    /// Close it although it still takes submissions
    #[arg(long)]
    pub early: bool,
}

/// `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM`, UTC, as ms since 1970 (Howard Hinnant, chrono-compatible low-level date algorithms).
fn time_ms(text: &str) -> Result<i64, String> {
    let bad = || format!("`{text}` is no time: write 2026-12-01 or 2026-12-01T09:30 (UTC)");
    let (date, clock) = text.split_once('T').unwrap_or((text, "00:00"));
    let numbers = |text: &str, mark: char, lengths: &[usize]| -> Option<Vec<i64>> {
        let parts: Vec<&str> = text.split(mark).collect();
        let is_plain = parts.iter().map(|part| part.len()).eq(lengths.iter().copied())
            && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        is_plain.then(|| parts.iter().filter_map(|part| part.parse().ok()).collect())
    };
    let date = numbers(date, '-', &[4, 2, 2]).ok_or_else(bad)?;
    let clock = numbers(clock.trim_end_matches('Z'), ':', &[2, 2]).ok_or_else(bad)?;
    let (&[year, month, day], &[hour, minute]) = (date.as_slice(), clock.as_slice()) else { return Err(bad()) };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let n_days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=n_days).contains(&day) || hour > 23 || minute > 59 {
        return Err(bad());
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Ok(((days * 24 + hour) * 60 + minute) * 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_nonsense_is_not() {
        assert_eq!(time_ms("1970-01-01"), Ok(0));
        assert_eq!(time_ms("2000-02-29T00:01"), Ok(951_782_400_000 + 60_000));
        assert_eq!(time_ms("2026-12-01T09:30Z"), Ok(1_796_117_400_000));
        for text in
            ["2026-13-01", "2026-02-29", "2026-1-1", "2026-12-01T24:00", "2026-12-01 09:30", "soon", "+026-12-01"]
        {
            assert!(time_ms(text).is_err(), "{text}");
        }
    }
}
