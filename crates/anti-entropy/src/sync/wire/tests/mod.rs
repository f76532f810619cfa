//! Golden vectors of protocol version 2.

mod messages;
