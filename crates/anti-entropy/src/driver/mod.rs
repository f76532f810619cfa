//! Layer 6, driver: the async edge. Nothing below this layer is async.

mod clock;
mod drive;
mod handle;
mod memory;
mod transport;
mod worker;

pub use clock::{Clock, SystemClock};
pub use drive::{DriverConfig, drive};
pub use handle::{Handle, HandleError};
pub use memory::{LinkFaults, MemoryNetwork, MemoryTransport};
pub use transport::{SendError, Transport};
