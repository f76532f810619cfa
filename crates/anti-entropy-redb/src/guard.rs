//! Turning panics of redb into errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; `None` if redb panics, as it may if a page is damaged while the file is open.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
