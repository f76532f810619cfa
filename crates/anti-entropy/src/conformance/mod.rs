//! The conformance kit: checks that an implementation of one of the traits keeps the trait's laws.
//!
//! A plug-in's author calls one function per trait from a test. It returns a [`Violation`] that names the law that
//! was broken and says what was seen.
//!
//! | trait | what checks it |
//! |---|---|
//! | [`Store`](crate::replica::Store) | [`check_store`], and [`check_failed_commits`] where failures can be injected |
//! | [`Replicated`](crate::replica::Replicated), [`Digest`](crate::replica::Digest) | [`check_items`], or [`check_items_by`] |
//! | [`Resolver`](crate::replica::Resolver) | [`check_resolver`] |
//! | [`Semilattice`](crate::replica::Semilattice) | [`check_semilattice`] |
//! | `Transport` (feature `std`) | `check_transport` |
//!
//! What the kit draws at random it draws from a fixed seed: a check that failed fails again.

mod exchange;
pub mod item;
pub mod resolver;
pub mod semilattice;
pub mod store;
#[cfg(feature = "std")]
pub mod transport;

use alloc::string::String;

pub use exchange::exchange;
pub use item::{check_items, check_items_by};
pub use resolver::check_resolver;
pub use semilattice::check_semilattice;
pub use store::{check_failed_commits, check_store};
#[cfg(feature = "std")]
pub use transport::check_transport;

/// A law of a trait that an implementation broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broken law: {law}: {detail}")]
#[non_exhaustive]
pub struct Violation {
    /// The law, in the words of the kit's constants: fit for comparing.
    pub law: &'static str,
    /// What was seen, and what should have been.
    pub detail: String,
}

impl Violation {
    /// A broken law and what was seen.
    pub fn new(law: &'static str, detail: impl Into<String>) -> Self {
        Self { law, detail: detail.into() }
    }
}
