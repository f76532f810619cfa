#![allow(clippy::unused_self, reason = "the other module of this name uses it")]

use std::time::Duration;

use crate::clock::Now;
use crate::driver::inbox::Queued;
use crate::gossip::{Engine, Event};
use crate::replica::Replicated;

/// Does nothing: the feature `metrics` is off.
#[derive(Debug)]
pub(in crate::driver) struct Metrics;

impl Metrics {
    pub(in crate::driver) fn of<V: Replicated>(_engine: &Engine<V>) -> Self {
        Self
    }

    pub(in crate::driver) fn publish_at(&self) -> Duration {
        Duration::MAX
    }

    pub(in crate::driver) fn event<K>(&self, _event: &Event<K>) {}

    pub(in crate::driver) fn handled<V: Replicated>(&mut self, _engine: &Engine<V>, _took: Duration) {}

    pub(in crate::driver) fn publish<V: Replicated>(
        &mut self,
        _engine: &mut Engine<V>,
        _queued: impl FnOnce() -> Queued,
        _now: Now,
    ) {
    }

    pub(in crate::driver) fn end<V: Replicated>(self, _engine: &mut Engine<V>, _queued: Queued, _now: Now) {}
}
