//! What the examples that show real patterns have in common.

pub(crate) mod arguments;
pub(crate) mod five;
pub(crate) mod lines;
pub(crate) mod program;
#[allow(dead_code, reason = "`quickstart` has patterns of its own")]
pub(crate) mod semantic;
pub(crate) mod sizes;
pub(crate) mod terminal;
pub(crate) mod watch;
