//! Gossipers in clusters, on virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "a test may; the same numbers are meant, and counts are small"
)]

mod announcements;
mod cluster;
mod convergence;
mod driven;
mod echo;
mod failing;
mod histories;
mod input;
mod rebuilds;
mod recovery;
mod reporter;
mod settings;
mod status;
mod steps;
