//! A span for each session, and an event for each refusal and failure, if the feature `tracing` is on. Without it,
//! these items do nothing, so that the engine's code is the same either way.

#[cfg(not(feature = "tracing"))]
mod off;
#[cfg(feature = "tracing")]
mod on;
#[cfg(feature = "tracing")]
mod rate;

#[cfg(not(feature = "tracing"))]
pub(super) use off::{Reporter, SessionSpan};
#[cfg(all(test, feature = "tracing"))]
use on::report;
#[cfg(feature = "tracing")]
pub(super) use on::{Reporter, SessionSpan};

#[cfg(test)]
#[cfg(feature = "tracing")]
mod tests;
