//! A member of a cluster of [`operated`](crate::operated) nodes that has a certificate and the cluster's key, and misbehaves:
//! it has no replica, and sends frames that it makes itself.

mod crafted;
mod node;
mod sessions;

pub use node::{Abuse, Order, run};
