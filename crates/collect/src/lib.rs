//! From emotion keywords to attributed images: a plan of queries, search engines asked, what they point at fetched.
//!
//! In: keyword files, provider settings, a project. Out: rows in the catalogue and bytes in the store. The only crate
//! with an HTTP client to the outside. It knows no SQL and no clock; decoding is `imaging`'s.
//!
//! ```
//! use affectory_collect::{Keywords, PlanOptions, plan_table};
//!
//! let pilot = PlanOptions { languages: vec!["de".into()], limit: Some(2), ..PlanOptions::default() };
//! let plan = Keywords::bundled()?.plan(&pilot)?;
//! assert_eq!(plan_table(&plan).total(), 16); // two for each of the eight expressions
//! # Ok::<(), affectory_collect::KeywordError>(())
//! ```

mod error;
mod fetch;
mod keywords;
mod net;
mod provider;
mod report;
mod search;
mod settings;

pub use error::CollectError;
pub use fetch::{CatalogHosts, FetchPlace, FetchRequest, FetchSummary, HostShare, HostSource, fetch};
pub use keywords::{
    AgeGroup, Direction, Gender, KeywordError, Keywords, Language, PersonTraits, Place, PlanExample, PlanOptions,
    PlanRow, PlanTable, PlannedQuery, isolated, plan_table,
};
pub use net::{
    AddressKind, ApiClient, ApiReply, BadNetwork, Client, ClientSettings, FetchFailure, Fetched, FetchedImage,
    GrantedClient, GrantedError, GrantedFile, GrantedList, Lookup, MAX_URL_BYTES, NetError, Network, RetryAfter,
    Robots, SystemLookup, UrlRefusal, Validators, address_kind, forbidding_rule, normalize, parse, public_client,
    registrable_domain, url_key,
};
pub use provider::{
    ApiAnswer, ApiRequest, Ask, BadSlice, Hit, License, Method, NextStep, Page, ProviderError, ProviderFailure,
    ProviderKind, ProviderLimits, SafeSearch, SearchProvider, Secret, SkipReason, Token, UploadSlice, build_provider,
    build_providers, plan_slices,
};
pub use report::{
    Axis, Crossing, IntentRow, LanguageName, Mosaic, MosaicFace, NearDuplicates, Pictures, Report, ReportError,
    ReportRequest, Rest, Step, gather_report, report_html, write_report,
};
pub use search::{SearchRequest, SearchSummary, record_plan, search};
pub use settings::{
    BaseUrl, CollectSettings, Contact, FacesSettings, FetchSettings, Host, KeyVariable, ProviderName, ProviderSettings,
    SettingsError, template,
};
