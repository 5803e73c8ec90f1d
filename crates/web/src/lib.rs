//! Stub while resolving dependencies.
