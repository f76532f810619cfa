//! Histories: everything that happened in a run, as plain data that can be written, read and checked.

mod file;
mod names;
mod record;
mod words;

pub use file::{HistoryError, Records, read, read_file, write_line};
pub use names::{InvalidName, ValueHash, WriteName};
pub use record::{
    Acknowledged, Alarm, Converged, Delivery, End, EndedSession, FaultChange, Healed, Heap, Held, KeyIndex, KeyState,
    Life, NodeIndex, NodeLimits, Op, OpKind, Opened, Record, Start, State, Traffic, Usage,
};
pub use words::{alarm_of, outcome_text};
