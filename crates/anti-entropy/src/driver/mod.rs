//! Layer 6, driver: the async edge. Nothing below this layer is async.

mod transport;

pub use transport::{SendError, Transport};
