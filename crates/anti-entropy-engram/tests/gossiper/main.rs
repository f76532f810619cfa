//! Gossipers in clusters, on virtual time.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod cluster;
mod rebuilds;
