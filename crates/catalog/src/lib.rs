//! Where is everything kept? The catalogue (SQLite or PostgreSQL) and the content-addressed image store.
//!
//! In: rows that stages want recorded, in batches, and image bytes. Out: rows and bytes.
//! All SQL of the program lives here, and every write that belongs together is one transaction.
//! This crate knows nothing of pixels, networks or file formats, and never reads the clock: times
//! are parameters, in integer milliseconds UTC.

mod annotating;
mod backup;
mod carrying;
mod catalog;
mod challenging;
mod collection;
mod database;
mod error;
mod exchange;
mod moving;
mod people;
#[cfg(test)]
mod plans;
mod portal;
mod postgres;
mod project;
mod records;
mod reporting;
mod schema;
mod store;
mod tables;

pub use annotating::{
    AnswerAct, AnswerEvent, EventOutcome, FacePicture, FaceRequest, FlagRow, GivenFaces, Gold, LessonKind,
    LessonPicture, LessonRow, NewLesson, NewPoolFace, OwnAnswer, PoolCandidate, PoolRow, PoolRules, PoolState,
    RatingRow, Strategy, Suggestion, SureSuggestion,
};
pub use backup::{Copied, back_up, restore};
pub use carrying::{Carried, move_objects};
pub use catalog::{COMMAND_LINE, Catalog, LogReader, NotErased};
pub use challenging::{
    BoardRow, ChallengeMetric, ChallengeRow, ChallengeTask, Half, NewChallenge, NewScore, NewSubmission, Phase,
    ScoreRow, SubmissionOutcome, SubmissionRow, SubmissionState, TeamMember, TeamOutcome, TeamRow,
};
pub use collection::{
    CandidateRow, CandidateState, CollectedImage, CollectedSighting, FetchEnd, FetchRecord, FetchedImage, HostPlace,
    LeftOutCount, NewHit, NewPage, NewQuery, OldestOpen, OpenHost, OpenHosts, OutcomeCount, PaceRow, PageOutcome,
    QueryState, QuotaRow, RecordedFetches, Refusal, SearchCount, SearchFailure, SearchFailureCount, SearchNext,
    SearchRow, Spending, YieldCount,
};
pub use error::CatalogError;
pub use exchange::{LogHead, LogOutcome, LoggedAnnotation, LoggedReference};
pub use moving::{Moved, MovedTable, Passwords, move_catalog};
pub use people::{Account, AccountChange, AttemptLimit, AuditRow, Invitation, NewAccount, Role};
pub use portal::{
    Applicant, DeliveryRow, DownloadEvent, DownloadRow, GrantRow, Holder, LetterRow, LinkWord, MemberRow, NewLetter,
    NewRequest, NoteRow, PackageRow, RequestChange, RequestRow, RequestState, Student, TokenRow, WithdrawalRow,
};
pub use postgres::name_this_process;
pub use project::{Project, ProjectConfig, QueueConfig, Secrets};
pub use records::{
    Annotation, AnnotatorKind, ConsensusRow, ConsensusRunRow, CountRow, DetectedFace, FaceQuality, FaceRow, FaceScan,
    GivenFaceUpdate, ImageRow, ImportItem, ImportOutcome, LabelledFace, NewAnnotation, NewConsensusRun, NewFace,
    NewImage, NewRelease, NewSighting, PackRow, Packing, ProjectCounts, ReleaseItemRow, ReleaseRow, ScanOutcome,
    ScanStatus, Sighting, Unusable, WrittenPack,
};
pub use reporting::{
    AddressCounts, CollectionTotals, CopyCount, FaceSample, FetchedImageTotals, FindingCount, FindingPlace, HostCount,
    ImageLook, IntentVotes, LicenseCount, QueryCount, QueryCounts, UnusableCount,
};
pub use store::{ImageStore, Patience, S3Access};
