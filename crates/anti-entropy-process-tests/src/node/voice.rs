//! What a node says, on standard output.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::time::monotonic_us;
use crate::wire::{Line, Report};

/// Says one thing at a time; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Voice(Arc<Mutex<()>>);

impl Voice {
    /// Says it before it returns. The lines of a node are in the order of their times.
    ///
    /// If nobody listens any more, the process ends: what it does would not be seen.
    pub(super) fn say(&self, report: Report) {
        let _one_at_a_time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = serde_json::to_vec(&Line { at: monotonic_us(), report });
        let mut line = line.expect("reports have no maps whose keys are no text");
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            std::process::exit(1);
        }
    }
}
