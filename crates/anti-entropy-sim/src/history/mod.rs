//! Histories: what happened in a run, as plain data that can be written, read and checked.

mod dot;
mod file;
mod record;

pub use dot::{Dot, NoDot, ValueHash};
pub use file::{HistoryError, Records, read, read_file, write_line};
pub use record::{
    Acknowledged, Alarm, Converged, Delivery, End, Fault, Healed, Held, KeyIndex, KeyState, Life, Limits, NodeIndex,
    Op, OpKind, Opened, Record, Session, Start, State, Traffic, Usage,
};
