//! Plots of results, in SVG.

mod bandwidth;
mod convergence;
mod style;

pub(super) use bandwidth::draw as bandwidth;
pub(super) use convergence::draw as convergence;
