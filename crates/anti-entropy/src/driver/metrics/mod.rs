//! What a driver reports of its engine through the facade `metrics`, if the feature of that name is on. Without the
//! feature, the type `Metrics` does nothing, so that the code of the engine's thread is the same either way.

#[cfg(feature = "metrics")]
mod counts;
#[cfg(feature = "metrics")]
mod names;
#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod on;
#[cfg(feature = "metrics")]
mod reasons;

#[cfg(feature = "metrics")]
pub use names::describe_metrics;
#[cfg(not(feature = "metrics"))]
pub(super) use off::Metrics;
#[cfg(feature = "metrics")]
pub(super) use on::Metrics;
