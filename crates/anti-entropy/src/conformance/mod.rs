//! The conformance kit: checks that an implementation of one of the traits keeps the trait's laws.
//!
//! A plug-in's author calls one function per trait from a test. It returns a [`Violation`] that names the law that
//! was broken and says what was seen.

#[cfg(feature = "std")]
pub mod transport;

use alloc::string::String;

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
