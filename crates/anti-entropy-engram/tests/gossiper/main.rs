//! Gossipers in clusters, on virtual time.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod announcements;
mod cluster;
mod convergence;
mod driven;
mod failing;
mod histories;
mod rebuilds;
mod recovery;
mod settings;
mod status;
