#![allow(clippy::unused_self, reason = "the other module of this name uses it")]

use core::time::Duration;

use crate::PeerId;
use crate::gossip::event::Event;
use crate::sync::Finished;

/// Does nothing: the feature `tracing` is off.
#[derive(Clone, Debug, Default)]
pub(in crate::gossip) struct SessionSpan;

impl SessionSpan {
    pub(in crate::gossip) fn new(_space: &str, _peer: &PeerId, _direction: &str, _nonce: u64) -> Self {
        Self
    }

    pub(in crate::gossip) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    pub(in crate::gossip) fn ended(&self, _finished: &Finished) {}
}

/// Does nothing: the feature `tracing` is off.
#[derive(Debug)]
pub(in crate::gossip) struct Reporter;

impl Reporter {
    pub(in crate::gossip) fn new(_lines_per_second: u32) -> Self {
        Self
    }

    pub(in crate::gossip) fn set(&mut self, _lines_per_second: u32) {}

    pub(in crate::gossip) fn report<K>(&mut self, _event: &Event<K>, _now: Duration) {}
}
