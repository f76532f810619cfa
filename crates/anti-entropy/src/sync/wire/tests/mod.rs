//! Golden vectors of protocol version 2.

pub(crate) mod messages;
