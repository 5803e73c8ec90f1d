//! How does each search engine want to be asked, and what does its answer mean?
