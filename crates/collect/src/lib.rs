//! From emotion keywords to attributed images: a plan of queries, search engines asked, what they point at fetched.
//!
//! In: keyword files, provider settings, a project. Out: rows in the catalogue and bytes in the store. The only crate
//! with an HTTP client to the outside. It knows no SQL and no clock; decoding is `imaging`'s.

mod keywords;
mod net;
mod provider;

pub use net::{
    AddressKind, BadNetwork, Client, ClientSettings, FetchFailure, Fetched, FetchedImage, Lookup, MAX_URL_BYTES,
    NetError, Network, RetryAfter, Robots, SystemLookup, UrlRefusal, Validators, address_kind, forbidding_rule,
    normalize, parse, registrable_domain, url_key,
};
