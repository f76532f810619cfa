#![doc = include_str!("../README.md")]

mod exchange;
mod hooked;
pub mod item;
pub mod resolver;
pub mod semilattice;
pub mod store;
pub mod transport;

pub use exchange::exchange;
pub use hooked::{with_commit, with_load};
pub use item::{check_items, check_items_by, check_nesting};
pub use resolver::check_resolver;
pub use semilattice::check_semilattice;
pub use store::{check_failed_commits, check_store};
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
