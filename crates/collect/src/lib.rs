//! From emotion keywords to attributed images: a plan of queries, search engines asked, what they point at fetched.
//!
//! In: keyword files, provider settings, a project. Out: rows in the catalogue and bytes in the store. The only crate
//! with an HTTP client to the outside. It knows no SQL and no clock; decoding is `imaging`'s.

mod keywords;
mod net;
mod provider;
mod settings;

pub use provider::{
    ApiAnswer, ApiRequest, Ask, BadSlice, Hit, License, Method, NextStep, Page, ProviderError, ProviderFailure,
    ProviderKind, ProviderLimits, SafeSearch, SearchProvider, Secret, SkipReason, Token, UploadSlice, build_provider,
    build_providers, plan_slices,
};
pub use settings::{
    BaseUrl, CollectSettings, Contact, FetchSettings, Host, KeyVariable, Network, ProviderName, ProviderSettings,
    SettingsError, template,
};
