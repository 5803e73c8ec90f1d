//! Which row of the catalogue is meant? One type for each table, so that ids cannot be mixed up.

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

id! {
    /// A row of `image`.
    ImageId,
    /// A row of `face`.
    FaceId,
    /// A row of `annotator`.
    AnnotatorId,
    /// A row of `annotation`.
    AnnotationId,
    /// A row of `release`.
    ReleaseId,
    /// A row of `search`.
    SearchId,
    /// A row of `candidate`.
    CandidateId,
    /// A row of `account`.
    AccountId,
    /// A row of `pool`.
    PoolId,
    /// A row of `lesson`.
    LessonId,
    /// A row of `access_request`.
    RequestId,
    /// A row of `access_grant`.
    GrantId,
    /// A row of `grant_member`.
    MemberId,
    /// A row of `access_token`.
    TokenId,
    /// A row of `package`.
    PackageId,
    /// A row of `download`.
    DownloadId,
    /// A row of `challenge`.
    ChallengeId,
    /// A row of `team`.
    TeamId,
    /// A row of `submission`.
    SubmissionId,
}
