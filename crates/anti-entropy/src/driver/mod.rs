//! Layer 6, driver: the async edge. Nothing below this layer is async.

mod memory;
mod transport;

pub use memory::{LinkFaults, MemoryNetwork, MemoryTransport};
pub use transport::{SendError, Transport};
