//! Transfer: what moves once it is known where two replicas differ.
//!
//! [`plan`] says what goes into a batch, [`encode`] makes it, [`certify`] checks what came, [`apply`] joins it. A
//! [`push`] is a single write that goes without any of this.

mod apply;
mod certify;
mod encode;
mod plan;
mod push;

#[cfg(test)]
mod tests;

pub(crate) use apply::{Applied, Joined};
pub(crate) use plan::{Baseline, BatchLimits, BatchPlan, is_held_by_both};
pub(crate) use push::PushOutcome;
