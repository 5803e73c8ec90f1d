//! How is an agreement named, so that a mistyped name is found?

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of an agreement, such as `AFF-2026-000123-38`: year, row, two check digits (ISO 7064, MOD 97-10).
///
/// Any one wrong digit and any two neighbours exchanged are found.
///
/// ```
/// use affectory_portal::agreement::AgreementNumber;
///
/// let number = AgreementNumber::new(2026, 123);
/// assert_eq!(number.to_string(), "AFF-2026-000123-38"); // 2026000123 * 100 mod 97 = 60, and 98 - 60 = 38
/// assert_eq!("aff-2026-000123-38".parse(), Ok(number));
/// assert!("AFF-2026-000132-38".parse::<AgreementNumber>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AgreementNumber {
    year: u16,
    row: u32,
}

/// Why some text is no agreement's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It looks otherwise.
    #[error("an agreement's number looks like AFF-2026-000123-38")]
    Form,
    /// It looks like one, and its check digits belong to another.
    #[error("a digit of this agreement's number is wrong: its last two do not fit the others")]
    Check,
}

impl AgreementNumber {
    /// The number of the agreement in this row; a year past 9999 counts as 9999.
    pub fn new(year: u16, row: u32) -> Self {
        Self { year: year.min(9999), row }
    }

    /// Year in which the agreement was made.
    pub fn year(self) -> u16 {
        self.year
    }

    /// Row of the agreement in the catalogue.
    pub fn row(self) -> u32 {
        self.row
    }

    /// All numbers with right check digits in a text, in order, each once.
    pub(super) fn all_in(text: &str) -> Vec<Self> {
        let mut found = Vec::new();
        // White space is lost, and found, wherever a PDF has been rewritten.
        let letters: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        for start in letters.windows(4).enumerate().filter(|(_, four)| *four == b"AFF-").map(|(at, _)| at) {
            let rest = &letters[start..(start + LONGEST).min(letters.len())];
            // Digits may follow that belong to the next word, so the shape says where it ends.
            let n_digits = rest.iter().skip(9).take_while(|byte| byte.is_ascii_digit()).count();
            let number = rest.get(..12 + n_digits).and_then(|bytes| std::str::from_utf8(bytes).ok());
            if let Some(Ok(number)) = number.map(str::parse)
                && !found.contains(&number)
            {
                found.push(number);
            }
        }
        found
    }

    fn check_digits(self) -> u64 {
        let digits = self.row.max(999_999).to_string().len() as u32;
        let number = u64::from(self.year) * 10_u64.pow(digits) + u64::from(self.row);
        98 - number % 97 * 100 % 97
    }
}

/// `AFF-`, a year, ten digits of a row, two check digits, hyphens.
const LONGEST: usize = 4 + 5 + 11 + 2;

impl fmt::Display for AgreementNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AFF-{:04}-{:06}-{:02}", self.year, self.row, self.check_digits())
    }
}

impl FromStr for AgreementNumber {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let text = text.trim().to_ascii_uppercase();
        let parts: Vec<&str> = text.split('-').collect();
        let [prefix, year, row, check] = parts.as_slice() else { return Err(NumberError::Form) };
        let are_digits = [year, row, check].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        // A longer row has no zero in front: a number is written in one way.
        let is_row = row.len() == 6 || (row.len() > 6 && !row.starts_with('0'));
        if *prefix != "AFF" || !are_digits || year.len() != 4 || !is_row || check.len() != 2 {
            return Err(NumberError::Form);
        }
        let number = Self {
            year: year.parse().map_err(|_| NumberError::Form)?,
            row: row.parse().map_err(|_| NumberError::Form)?,
        };
        if number.to_string() == text { Ok(number) } else { Err(NumberError::Check) }
    }
}

impl From<AgreementNumber> for String {
    fn from(number: AgreementNumber) -> Self {
        number.to_string()
    }
}

impl TryFrom<String> for AgreementNumber {
    type Error = NumberError;

    fn try_from(text: String) -> Result<Self, NumberError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_written(year in 0_u16..=9999, row: u32) {
            let number = AgreementNumber::new(year, row);
            prop_assert_eq!(number.to_string().parse(), Ok(number));
            let json = serde_json::to_string(&number).unwrap();
            prop_assert_eq!(serde_json::from_str::<AgreementNumber>(&json).unwrap(), number);
            prop_assert_eq!(AgreementNumber::all_in(&format!("page {number}1 of 3")), vec![number]);
        }

        #[test]
        fn one_wrong_digit_or_two_exchanged_are_found(row in 0_u32..10_000_000, at in 0_usize..20, by in 1_u8..10) {
            let right = AgreementNumber::new(2026, row).to_string();
            let mut wrong = right.clone().into_bytes();
            let at = at % wrong.len();
            prop_assume!(wrong[at].is_ascii_digit());
            wrong[at] = b'0' + (wrong[at] - b'0' + by) % 10;
            prop_assert!(String::from_utf8(wrong).unwrap().parse::<AgreementNumber>().is_err());
            let mut exchanged = right.clone().into_bytes();
            if at + 1 < exchanged.len() && exchanged[at + 1].is_ascii_digit() {
                exchanged.swap(at, at + 1);
                let exchanged = String::from_utf8(exchanged).unwrap();
                prop_assert!(exchanged == right || exchanged.parse::<AgreementNumber>().is_err());
            }
        }

        #[test]
        fn no_text_makes_the_reader_of_numbers_panic(text: String) {
            let _ = text.parse::<AgreementNumber>();
            AgreementNumber::all_in(&format!("AFF-{text}AFF-2026-{text}"));
        }
    }
}
