//! A span for each session, and an event for each refusal and failure, if the feature `tracing` is on. Without it,
//! these items do nothing, so that the engine's code is the same either way.

#[cfg(not(feature = "tracing"))]
mod off;
#[cfg(feature = "tracing")]
mod on;

#[cfg(not(feature = "tracing"))]
pub(super) use off::{SessionSpan, report};
#[cfg(feature = "tracing")]
pub(super) use on::{SessionSpan, report};

#[cfg(test)]
#[cfg(feature = "tracing")]
mod tests;
