//! What do requests for access, grants, letters and downloads look like?

use affectory_core::{AccountId, DownloadId, GrantId, MemberId, PackageId, ReleaseId, RequestId, Sha256Hex, TokenId};

use crate::CatalogError;

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestState {
    /// The link in the first letter was not followed yet.
    Unconfirmed,
    /// A student asked; the supervisor was written to.
    WithSupervisor,
    /// The agreement is there to be signed.
    Agreement,
    /// It came back signed, and waits for a reviewer.
    Submitted,
    /// A reviewer asked something.
    AskedBack,
    /// Granted.
    Granted,
    /// Refused, with a reason.
    Refused,
    /// Taken back by whoever asked.
    Withdrawn,
}

impl RequestState {
    /// All of them, in the order of the way.
    pub const ALL: [RequestState; 8] = [
        RequestState::Unconfirmed,
        RequestState::WithSupervisor,
        RequestState::Agreement,
        RequestState::Submitted,
        RequestState::AskedBack,
        RequestState::Granted,
        RequestState::Refused,
        RequestState::Withdrawn,
    ];

    /// The word in the table.
    pub const fn name(self) -> &'static str {
        match self {
            RequestState::Unconfirmed => "unconfirmed",
            RequestState::WithSupervisor => "with-supervisor",
            RequestState::Agreement => "agreement",
            RequestState::Submitted => "submitted",
            RequestState::AskedBack => "asked-back",
            RequestState::Granted => "granted",
            RequestState::Refused => "refused",
            RequestState::Withdrawn => "withdrawn",
        }
    }

    pub(crate) fn stored(name: &str) -> Result<Self, CatalogError> {
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| CatalogError::Corrupt(format!("request state `{name}`")))
    }
}

/// Who asks, in their own words. All texts come from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applicant {
    /// Name, as it stands in the agreement.
    pub name: String,
    /// Institutional address, lower case.
    pub email: String,
    /// Professor, head of a laboratory, ...
    pub position: String,
    /// Where.
    pub institution: String,
    /// ORCID iD, or nothing.
    pub orcid: String,
    /// Their page at the institution, or nothing.
    pub web_page: String,
    /// What for.
    pub purpose: String,
}

/// A student who asked, or whom a supervisor names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Student {
    /// Name.
    pub name: String,
    /// Address, lower case.
    pub email: String,
}

/// The word in a mailed link, as its hash, and until when it opens something, ms UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkWord {
    /// SHA-256 of the word; the word itself is kept nowhere but in the letter until that is sent.
    pub sha256: Sha256Hex,
    /// Until when, ms UTC.
    pub expires_ms: i64,
}

/// A letter to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLetter {
    /// To whom.
    pub recipient: String,
    /// What about; one line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// A letter of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterRow {
    /// Its row.
    pub id: i64,
    /// What is to be sent; the body is empty once it was.
    pub letter: NewLetter,
    /// When it was written, ms UTC.
    pub created_ms: i64,
    /// Attempts so far.
    pub n_attempts: u64,
    /// Why the last one failed.
    pub last_error: Option<String>,
    /// When it was sent, ms UTC.
    pub sent_ms: Option<i64>,
    /// When the next attempt is due, ms UTC; `None` once it was sent or given up.
    pub next_attempt_ms: Option<i64>,
}

/// A request to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// For which release.
    pub release_id: ReleaseId,
    /// Who asks; where a student does, the supervisor as far as the student knows.
    pub applicant: Applicant,
    /// The student, where one asks.
    pub student: Option<Student>,
    /// The word of the link that confirms the address.
    pub link: LinkWord,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Its row.
    pub id: RequestId,
    /// For which release.
    pub release_id: ReleaseId,
    /// Its name.
    pub release: String,
    /// How far it is.
    pub state: RequestState,
    /// Whose it is; nobody's until an address was confirmed.
    pub account_id: Option<AccountId>,
    /// Who asks.
    pub applicant: Applicant,
    /// The student on whose behalf, if any.
    pub student: Option<Student>,
    /// The agreement's number, once it was made.
    pub agreement_number: Option<String>,
    /// The agreement as issued, an object of the store.
    pub agreement_sha256: Option<Sha256Hex>,
    /// As it came back, an object of the store.
    pub signed_sha256: Option<Sha256Hex>,
    /// What was found when it was checked, JSON.
    pub signed_report: Option<String>,
    /// When it was made, ms UTC.
    pub created_ms: i64,
    /// When it was last handed to the reviewers, ms UTC.
    pub submitted_ms: Option<i64>,
    /// When it was decided, ms UTC.
    pub decided_ms: Option<i64>,
    /// By whom.
    pub decided_by: Option<AccountId>,
    /// Why it was refused.
    pub reason: Option<String>,
}

/// What happens to a request. Each is possible in some states only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestChange<'a> {
    /// The student's address is confirmed: the supervisor gets a link.
    ToSupervisor(&'a LinkWord),
    /// Who may sign owns it now; the agreement was made.
    Own {
        /// Whose it is.
        account: AccountId,
        /// Who asks, in the owner's words.
        applicant: &'a Applicant,
        /// The agreement's number.
        number: &'a str,
        /// The agreement, in the store.
        agreement: &'a Sha256Hex,
    },
    /// The agreement came back signed.
    Submit {
        /// As it came back, in the store.
        signed: &'a Sha256Hex,
        /// What was found in it, JSON.
        report: &'a str,
    },
    /// What a reviewer asked was answered; the signed agreement stays.
    Answer(&'a str),
    /// A reviewer asks something.
    AskBack(&'a str),
    /// It is refused.
    Refuse(&'a str),
    /// It is granted: a recipient's seed, and until when, ms UTC.
    Grant {
        /// 64 hexadecimal digits nobody can guess.
        seed: &'a str,
        /// Until when, ms UTC.
        expires_ms: i64,
        /// The link for the student on whose behalf it was asked, if any.
        student_link: Option<&'a LinkWord>,
    },
    /// Whoever asked takes it back.
    Withdraw,
}

/// A remark on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRow {
    /// Who wrote it.
    pub account_id: AccountId,
    /// Whether that is the request's owner.
    pub is_owner: bool,
    /// What.
    pub text: String,
    /// When, ms UTC.
    pub created_ms: i64,
}

/// Access to one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// Its row.
    pub id: GrantId,
    /// From which request.
    pub request_id: RequestId,
    /// Whose.
    pub account_id: AccountId,
    /// To which release.
    pub release_id: ReleaseId,
    /// Its name.
    pub release: String,
    /// The owner's name and address.
    pub owner: Student,
    /// What decides this recipient's copy, 64 hexadecimal digits.
    pub seed: String,
    /// Since when, ms UTC.
    pub granted_ms: i64,
    /// Until when, ms UTC.
    pub expires_ms: i64,
    /// When its owner asked for more time, ms UTC.
    pub renewal_asked_ms: Option<i64>,
    /// Since when no longer, ms UTC.
    pub revoked_ms: Option<i64>,
    /// Why no longer.
    pub revoke_reason: Option<String>,
}

impl GrantRow {
    /// Whether something may be downloaded under it.
    pub fn is_open(&self, now_ms: i64) -> bool {
        self.revoked_ms.is_none() && now_ms < self.expires_ms
    }
}

/// Somebody for whom a grant's owner answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Its row.
    pub id: MemberId,
    /// Of which grant.
    pub grant_id: GrantId,
    /// Who.
    pub person: Student,
    /// Their account, once they accepted.
    pub account_id: Option<AccountId>,
    /// When they were invited, ms UTC.
    pub invited_ms: i64,
    /// When they accepted the terms, ms UTC.
    pub accepted_ms: Option<i64>,
    /// Since when no longer, ms UTC.
    pub removed_ms: Option<i64>,
}

/// A personal token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its row.
    pub id: TokenId,
    /// What its owner calls it.
    pub name: String,
    /// When it was made, ms UTC.
    pub created_ms: i64,
    /// Until when, ms UTC.
    pub expires_ms: i64,
    /// When it was last shown, ms UTC, to a few minutes.
    pub last_used_ms: Option<i64>,
    /// Since when no longer, ms UTC.
    pub revoked_ms: Option<i64>,
}

/// A release's files as they are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRow {
    /// Its row.
    pub id: PackageId,
    /// Of which release.
    pub release_id: ReleaseId,
    /// 1, 2, ...: one more for each withdrawal.
    pub revision: u64,
    /// Images of the release that were withdrawn when it was built.
    pub n_withdrawn: u64,
    /// Size of its archive, bytes.
    pub size_bytes: u64,
    /// When it was built, ms UTC.
    pub built_ms: i64,
}

/// One recipient's copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// SHA-256 of the archive.
    pub archive_sha256: Sha256Hex,
    /// Its size, bytes.
    pub archive_bytes: u64,
    /// SHA-256 of the manifest.
    pub manifest_sha256: Sha256Hex,
    /// Its size, bytes.
    pub manifest_bytes: u64,
}

/// What is written into the log of downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadEvent {
    /// A download begins.
    Begun {
        /// Under which grant.
        grant: GrantId,
        /// By whom.
        account: AccountId,
        /// Of which package.
        package: PackageId,
        /// Which file of it.
        file: String,
        /// From which byte.
        first_byte: u64,
        /// How many were asked for.
        n_bytes: u64,
        /// When, ms UTC.
        at_ms: i64,
    },
    /// One has ended, in whatever way.
    Ended {
        /// Its row.
        id: DownloadId,
        /// How many bytes went out.
        sent_bytes: u64,
        /// When, ms UTC.
        at_ms: i64,
    },
}

/// A download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadRow {
    /// Its row.
    pub id: DownloadId,
    /// Under which grant.
    pub grant_id: GrantId,
    /// By whom.
    pub account_id: AccountId,
    /// Of which revision.
    pub revision: u64,
    /// What.
    pub file: String,
    /// From which byte.
    pub first_byte: u64,
    /// How many were asked for.
    pub n_bytes: u64,
    /// How many went out; `None` while it runs, or where the server was killed.
    pub sent_bytes: Option<u64>,
    /// When it began, ms UTC.
    pub started_ms: i64,
}

/// Somebody who has a copy of a picture that was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Under which grant.
    pub grant_id: GrantId,
    /// To which release.
    pub release: String,
    /// Who.
    pub person: Student,
    /// When their last download of it began, ms UTC.
    pub last_ms: i64,
}

/// Somebody asks for a picture of them to be taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithdrawalRow {
    /// Its row.
    pub id: i64,
    /// Where to answer.
    pub email: String,
    /// Which picture: its address, or what is seen in it.
    pub picture: String,
    /// Why.
    pub reason: String,
    /// When, ms UTC.
    pub created_ms: i64,
    /// When it was answered, ms UTC.
    pub decided_ms: Option<i64>,
    /// What was answered.
    pub answer: Option<String>,
}
