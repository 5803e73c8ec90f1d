//! What is asked, and what is answered?

/// Who works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// One process takes from the catalogue what is due: `collect run`.
    Alone,
    /// A dispatcher offers shards to workers.
    Queue,
}

/// A project, and who works at it. Everything is on the list when they begin.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Plan {
    /// Addresses.
    pub candidates: u64,
    /// Hosts that they lead to.
    pub hosts: u64,
    /// Processes; 1 for [`Way::Alone`].
    pub workers: u32,
    /// Machines that these stand on, in turn.
    pub machines: u32,
    /// Cores of each.
    pub cores: u32,
    /// How they get their work.
    pub way: Way,
    /// Everything random follows from it.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Outcome {
    /// From the start of the first process until all is done, s.
    pub seconds: f64,
    /// When 90, 99 and 100 % of the candidates were fetched, and as large a share of images searched, s.
    pub marks_s: [f64; 3],
    /// Share of all cores' time in use, 0 to 1.
    pub cores: f64,
    /// Share of the time for which the catalogue was committing.
    pub catalogue: f64,
    /// Share of the lines' time in use.
    pub network: f64,
    /// Share of the places for fetches under way in use.
    pub fetches: f64,
    /// Candidates with an outcome.
    pub ended: u64,
    /// New images.
    pub images: u64,
    /// Of those, searched for faces.
    pub searched: u64,
    /// Shards of hosts, and of images.
    pub fetch_shards: u64,
    /// See there.
    pub face_shards: u64,
    /// Transactions.
    pub commits: u64,
    /// Workers that died, and fetches that were done and not recorded.
    pub deaths: u64,
    /// See there.
    pub lost: u64,
}
