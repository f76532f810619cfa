/// `max_frame_bytes` is at least 1,024 and does not change.
pub const FRAME_LIMIT: &str = "the frame limit is at least 1,024 bytes and constant";
/// A frame that arrives is byte for byte one that was sent to this node.
pub const WHOLE_FRAMES: &str = "frames arrive whole and unchanged";
/// A frame comes with its sender's name.
pub const SENDER_NAME: &str = "a frame comes with its sender's name";
/// On a link without faults, frames arrive.
pub const DELIVERY: &str = "frames arrive on a link without faults";
/// Frames longer than the limit are refused.
pub const TOO_LONG: &str = "a frame longer than the limit is refused as too long";
/// Sending to an unknown peer is an error.
pub const UNKNOWN_PEER: &str = "sending to an unknown peer is an error";
/// A frame whose `send` failed does not arrive.
pub const ERROR_MEANS_LOST: &str = "a frame whose sending failed does not arrive";
/// A `receive` that was dropped before it was ready has consumed no frame.
pub const CANCELLATION: &str = "receive is cancellation-safe";
/// `send` does not wait for a receiver.
pub const SEND_NEVER_WAITS: &str = "send never waits for a slow peer";
/// Queues are bounded.
pub const BOUNDED_QUEUES: &str = "queues are bounded";
/// A closed transport receives and sends nothing more.
pub const CLOSED: &str = "a closed transport says so";
