//! Layer 6, driver: the async edge. Nothing below this layer is async.
//!
//! With the feature `metrics`, a driver reports once a second, through the facade of that name, what its engine has
//! counted, and how long frames take; docs/operations.md lists the metrics. With the feature `tracing`, each session
//! has a span, and refusals and failures are events.

mod announcing;
mod channels;
mod clock;
mod contain;
mod drive;
mod frame_queue;
mod handle;
mod inbox;
mod memory;
mod metrics;
mod node;
mod pool;
mod transport;
mod worker;

pub use announcing::Announcement;
pub use channels::{Channel, ChannelTaken, Channels, ChannelsConfig, ChannelsStats};
pub use clock::{Clock, SystemClock};
pub use drive::{DriverConfig, drive};
pub use handle::{Handle, HandleError};
pub use memory::{LinkFaults, MemoryNetwork, MemoryTransport};
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use metrics::describe_metrics;
pub use node::{Node, NodeError};
pub use pool::{Pool, PoolConfig};
pub use transport::{SendError, Transport};
