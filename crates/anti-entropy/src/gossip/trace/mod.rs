//! A span for each session, and an event for what should not happen: the feature `tracing`. Without it all of this is
//! empty, so that the engine reads the same either way.

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
