//! What is one piece of work that is handed to a worker?

use affectory_core::Split;
use serde::{Deserialize, Serialize};

/// Candidates of a shard, about: enough that asking the queue costs nothing beside the work, few enough that a lost worker
/// costs little.
pub(crate) const MOST_CANDIDATES: u32 = 1_000;

/// A shard with this many candidates is full enough.
pub(crate) const ENOUGH_CANDIDATES: u64 = 500;

/// Hosts of a shard, at most.
pub(crate) const MOST_HOSTS: usize = 64;

/// Images of a shard, at most.
pub(crate) const MOST_IMAGES: u32 = 512;

/// Faces of a shard, at most.
pub(crate) const MOST_FACES: u32 = 512;

/// Bytes of a shard as a message, at most: a host's name has 253 characters.
const MOST_BYTES: usize = 64 * 1024;

/// A stage whose work is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkStage {
    /// Candidates become images.
    Fetch,
    /// Images become faces.
    Faces,
    /// A model looks at the faces of a pool.
    Predict,
    /// Images of a release are put together in large files.
    Pack,
}

impl WorkStage {
    /// All of them, in the order of the way of an image.
    pub const ALL: [WorkStage; 4] = [WorkStage::Fetch, WorkStage::Faces, WorkStage::Predict, WorkStage::Pack];

    /// Its name, as it stands in subjects and commands.
    pub const fn name(self) -> &'static str {
        match self {
            WorkStage::Fetch => "fetch",
            WorkStage::Faces => "faces",
            WorkStage::Predict => "predict",
            WorkStage::Pack => "pack",
        }
    }
}

/// Which shards of a stage go before others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Urgency {
    /// They are taken before all usual ones, however long those have waited.
    Urgent,
    /// They are taken when no urgent one waits.
    Usual,
}

impl Urgency {
    /// The more urgent first.
    pub const ALL: [Urgency; 2] = [Urgency::Urgent, Urgency::Usual];
}

impl std::fmt::Display for WorkStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A host of a shard (a registrable domain).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardHost {
    /// The host.
    pub host: String,
    /// Candidates to take from its queue, at most.
    pub at_most: u32,
    /// The candidate that its queue begins with, so that the next shard of the same host is another message.
    pub first: Option<i64>,
}

/// A piece of work. It says what to look at, never what to do with it, and holds no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Shard {
    /// Hosts with candidates that are due.
    Fetch {
        /// They are worked off one by one or all at once, as the worker likes.
        hosts: Vec<ShardHost>,
    },
    /// Images from one number to another that wait for a detector.
    Faces {
        /// Which detector.
        detector: String,
        /// The first image's number.
        first: i64,
        /// The last one's.
        last: i64,
        /// Which time this range is offered.
        round: i64,
    },
    /// Faces of a pool from one number to another that a model has not seen.
    Predict {
        /// The pool's number.
        pool: i64,
        /// The model's name.
        model: String,
        /// The first face's number.
        first: i64,
        /// The last one's.
        last: i64,
        /// Which time this range is offered.
        round: i64,
    },
    /// A pack of a release.
    Pack {
        /// The release's name.
        release: String,
        /// The pack's split.
        split: Split,
        /// Its number there.
        number: u32,
        /// Which time it is offered.
        round: i64,
    },
}

impl Shard {
    /// The stage it is for.
    pub const fn stage(&self) -> WorkStage {
        match self {
            Shard::Fetch { .. } => WorkStage::Fetch,
            Shard::Faces { .. } => WorkStage::Faces,
            Shard::Predict { .. } => WorkStage::Predict,
            Shard::Pack { .. } => WorkStage::Pack,
        }
    }

    /// Reads a message. Anybody with access to the queue can write one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(bytes: &[u8]) -> Result<Shard, String> {
        if bytes.len() > MOST_BYTES {
            return Err(format!("a shard of {} bytes", bytes.len()));
        }
        let shard: Shard = serde_json::from_slice(bytes).map_err(|error| format!("not a shard: {error}"))?;
        match &shard {
            Shard::Fetch { hosts } if hosts.is_empty() || hosts.len() > MOST_HOSTS => {
                Err(format!("a shard of {} hosts", hosts.len()))
            }
            Shard::Fetch { hosts } if hosts.iter().any(|host| !(1..=MOST_CANDIDATES).contains(&host.at_most)) => {
                Err("a shard whose host has none or too many candidates".into())
            }
            Shard::Faces { first, last, .. } if *first < 0 || last < first => {
                Err(format!("a shard of images {first} to {last}"))
            }
            Shard::Predict { first, last, .. } if *first < 0 || last < first => {
                Err(format!("a shard of faces {first} to {last}"))
            }
            _ => Ok(shard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_come_back_as_they_were_and_nonsense_is_refused() {
        let host = |at_most| ShardHost { host: "a.org".into(), at_most, first: Some(7) };
        let faces = |first, last| Shard::Faces { detector: "mtcnn".into(), first, last, round: 1 };
        let bytes = |shard: &Shard| serde_json::to_vec(shard).unwrap();
        let seen = |first, last| Shard::Predict { pool: 1, model: "m".into(), first, last, round: 1 };
        let pack = Shard::Pack { release: "v1".into(), split: Split::Valid, number: 7, round: 1 };
        let fetch = Shard::Fetch { hosts: vec![host(1), host(1_000)] };
        for good in [fetch, faces(0, 0), faces(3, 9_000_000_000), seen(4, 4), pack] {
            assert_eq!(Shard::parse(&bytes(&good)), Ok(good));
        }
        for bad in [
            Shard::Fetch { hosts: vec![] },
            Shard::Fetch { hosts: vec![host(1); 65] },
            Shard::Fetch { hosts: vec![host(0)] },
            Shard::Fetch { hosts: vec![host(1_001)] },
            faces(-1, 3),
            faces(4, 3),
            seen(-1, 3),
            seen(4, 3),
        ] {
            assert!(Shard::parse(&bytes(&bad)).is_err(), "{bad:?}");
        }
        for text in ["", "{}", "[]", "{\"stage\":\"fetch\"}", "{\"stage\":\"erase\",\"hosts\":[]}", "\u{0}"] {
            assert!(Shard::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Shard::parse(&vec![b' '; MOST_BYTES + 1]).is_err());
    }
}
