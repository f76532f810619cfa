//! Golden vectors of protocol version 1.

mod messages;
