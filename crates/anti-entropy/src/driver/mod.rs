//! Layer 6, driver: the async edge. Nothing below this layer is async.

mod channels;
mod clock;
mod drive;
mod handle;
mod memory;
mod transport;
mod worker;

pub use channels::{Channel, ChannelTaken, Channels, ChannelsConfig, ChannelsStats};
pub use clock::{Clock, SystemClock};
pub use drive::{DriverConfig, drive};
pub use handle::{Handle, HandleError};
pub use memory::{LinkFaults, MemoryNetwork, MemoryTransport};
pub use transport::{SendError, Transport};
