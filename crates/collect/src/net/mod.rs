//! How is a URL fetched from a hostile internet: guarded addresses, deadlines, limits, robots.txt?
//!
//! In: one URL, and what was known of it. Out: the bytes of what begins like an image, or how it ended. No retries, no
//! turns between hosts, no catalogue: that is for the caller.

mod address;
mod body;
mod client;
mod failure;
mod gate;
mod granted;
mod interface;
mod memory;
mod resolver;
mod robots;
mod robots_cache;
mod settings;
mod transport;
mod url;
mod x_robots_tag;

pub use self::address::{AddressKind, BadNetwork, Network, address_kind};
pub use self::client::{Client, Fetched, FetchedImage, Validators};
pub use self::failure::{FetchFailure, NetError, RetryAfter};
pub use self::granted::{GrantedClient, GrantedError, GrantedFile, GrantedList};
pub use self::interface::{ApiClient, ApiReply};
pub use self::resolver::{Lookup, SystemLookup};
pub use self::robots::Robots;
pub use self::settings::ClientSettings;
pub use self::transport::public_client;
pub use self::url::{MAX_URL_BYTES, UrlRefusal, normalize, parse, registrable_domain, url_key};
pub use self::x_robots_tag::forbidding_rule;
