//! Transfer: sending what differs, once that is known.
//!
//! [`plan`] decides what goes into a batch, [`encode`] makes it, [`certify`] checks a batch that was received, and
//! [`apply`] joins it. A [`push`] is a single write that is sent without a session.

mod apply;
mod certify;
mod encode;
mod plan;
mod push;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use apply::{Applied, Joined};
pub(crate) use plan::{Baseline, BatchLimits, BatchPlan, Unreadable, is_held_by_both};
pub(crate) use push::PushOutcome;
