//! What can go wrong with a search provider, and what should be done then?

/// Why an ask cannot become a request. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// A query without words.
    #[error("the query is empty")]
    EmptyText,
    /// A query that the provider would refuse or silently cut.
    #[error("the query is longer than the provider takes ({limit})")]
    TextTooLong {
        /// The limit in words.
        limit: &'static str,
    },
    /// A cursor that this provider never gave.
    #[error("`{0}` is no cursor of this provider: start the query from its first page")]
    BadCursor(String),
    /// The pages so far were asked for with a token, and there is none now.
    #[error("the next page needs a token: ask for one first")]
    TokenNeeded,
    /// An upload span for a provider that knows none.
    #[error("the provider cannot search by upload date")]
    NoSlices,
}

/// Why an answer gives no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFailure {
    /// The provider does not let us in.
    #[error("refused ({message}){}", .key_env.as_ref().map(|name| format!("; is {name} set to a valid key?")).unwrap_or_default())]
    KeyRefused {
        /// The environment variable that holds the key; `None` where it is not the key's fault.
        key_env: Option<String>,
        /// What the provider says.
        message: String,
    },
    /// The token is over.
    #[error("the token is not accepted any more ({message})")]
    TokenRefused {
        /// What the provider says.
        message: String,
    },
    /// There is nothing to be asked at this address.
    #[error("no search interface answers there ({message}); check base_url")]
    WrongAddress {
        /// What the provider says.
        message: String,
    },
    /// Too many requests.
    #[error("the quota is spent ({message})")]
    QuotaSpent {
        /// When to come back, as the provider says.
        retry_after_ms: Option<i64>,
        /// What the provider says.
        message: String,
    },
    /// The provider cannot answer now.
    #[error("busy ({message})")]
    Busy {
        /// When to come back, as the provider says.
        retry_after_ms: Option<i64>,
        /// What the provider says.
        message: String,
    },
    /// The provider does not like this query.
    #[error("the query is refused ({message})")]
    Refused {
        /// What the provider says.
        message: String,
    },
    /// The answer is not what it should be: cut off, or of another shape.
    #[error("the answer cannot be read: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// No query of this provider can succeed before a person acts.
    StopProvider,
    /// Ask for a new token, then the same page again.
    RenewToken,
    /// The provider's quota is spent: leave all of it alone until then. Where it does not say until when, back off,
    /// to the next day in the end: it may be the quota of a minute or of a month.
    WaitForQuota {
        /// Milliseconds from now.
        after_ms: Option<i64>,
    },
    /// The same page may succeed later, a few times at most.
    Retry {
        /// Milliseconds from now; back off where the provider does not say.
        after_ms: Option<i64>,
    },
    /// This query will never succeed; go on with the next one.
    SkipQuery,
}

impl ProviderFailure {
    /// Whether and when another try makes sense.
    pub const fn next_step(&self) -> NextStep {
        match self {
            ProviderFailure::KeyRefused { .. } | ProviderFailure::WrongAddress { .. } => NextStep::StopProvider,
            ProviderFailure::TokenRefused { .. } => NextStep::RenewToken,
            ProviderFailure::QuotaSpent { retry_after_ms, .. } => NextStep::WaitForQuota { after_ms: *retry_after_ms },
            ProviderFailure::Busy { retry_after_ms, .. } => NextStep::Retry { after_ms: *retry_after_ms },
            ProviderFailure::Malformed { .. } => NextStep::Retry { after_ms: None },
            ProviderFailure::Refused { .. } => NextStep::SkipQuery,
        }
    }
}

impl From<ProviderError> for ProviderFailure {
    fn from(error: ProviderError) -> Self {
        ProviderFailure::Refused { message: error.to_string() }
    }
}
