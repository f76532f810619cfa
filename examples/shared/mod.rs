//! What the examples that show real patterns have in common.

pub(crate) mod arguments;
pub(crate) mod lines;
pub(crate) mod sizes;
pub(crate) mod terminal;
pub(crate) mod watch;
