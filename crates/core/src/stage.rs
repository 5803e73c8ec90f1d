//! How does a long stage talk to whoever started it: where it is, whether it shall stop, which split it serves?

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::CoreError;

/// Asks a stage to finish the item in hand, commit, and return (Ctrl-C, SIGTERM).
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where a stage reports how far it is: a bar on a terminal, log lines, or nothing.
pub trait Progress: Send + Sync {
    /// A new piece of work begins; `total` is its number of items where known.
    fn begin(&self, what: &str, total: Option<u64>);
    /// `n` more items are done.
    fn advance(&self, n: u64);
    /// A short text beside the bar (a loss, a file name).
    fn note(&self, text: &str);
    /// The piece of work is over.
    fn end(&self);
}

/// Progress that nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _n: u64) {}
    fn note(&self, _text: &str) {}
    fn end(&self) {}
}

/// The target of `tracing` events in which stages say what they did to one image, for whoever follows it across
/// processes. Such an event is one step that is over. Its fields:
///
/// - `step`: what was done; `ago_us` and `took_us`: how long ago that began, and how long it took, us;
/// - `hash`: 64 hexadecimal digits, of the image or of what else the step belongs to; all steps of one hash belong
///   together;
/// - `brings`, where the hash begins its way here: what it stands for;
/// - `failed`: why nothing came of it;
/// - `shard`: the hash of the shard that it was part of;
/// - `part.NAME`: us of a part of the step, in their order, without gaps;
/// - anything else is told as it is, and so must never be a name, an address of a person or of a page.
pub const WAY: &str = "affectory::way";

/// A time as an event of [`WAY`] tells it, us.
pub fn way_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What an item of a release is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Weights are fitted on it.
    Train,
    /// Epochs and settings are chosen on it (AffectNet's "validation").
    Valid,
    /// Nothing is chosen on it.
    Test,
}

impl Split {
    /// In the order of their tables.
    pub const ALL: [Split; 3] = [Split::Train, Split::Valid, Split::Test];

    /// The lower-case name used in files and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Valid => "valid",
            Split::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Split {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        match text.trim().to_lowercase().as_str() {
            "train" | "training" => Ok(Split::Train),
            "valid" | "validation" | "val" => Ok(Split::Valid),
            "test" => Ok(Split::Test),
            _ => Err(CoreError::UnknownSplit(text.chars().take(40).collect())),
        }
    }
}
