use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Key, Label, Level, Metadata, with_recorder};

use super::{counts, names, reasons};
use crate::clock::Now;
use crate::driver::inbox::Queued;
use crate::gossip::{Engine, Event, PeerStatus, Status};
use crate::replica::Replicated;
use crate::{KeyHash, PeerId};

/// How often the counts of the engine are published. Publishing visits every peer, and nobody reads more often.
const EVERY: Duration = Duration::from_secs(1);

static METADATA: Metadata<'static> = Metadata::new("anti_entropy", Level::INFO, Some("anti_entropy"));

/// What has been published of an engine. The recorder is looked up each time, so that one that is installed late misses
/// only what came before.
#[derive(Debug)]
pub(in crate::driver) struct Metrics {
    space: Arc<str>,
    publish_at: Duration,
    /// The counters as they were last published.
    counted: [u64; counts::LEN],
    /// Peers for which there are gauges.
    peers: BTreeSet<PeerId>,
    frames_compared: u64,
    frames_joined: u64,
    /// The keys of the histograms of frames, which are recorded most often.
    compare_seconds: Key,
    join_seconds: Key,
}

impl Metrics {
    pub(in crate::driver) fn of<V: Replicated>(engine: &Engine<V>) -> Self {
        super::describe_metrics();
        let (stats, space) = (engine.stats(), engine.space());
        let this = Self {
            space: Arc::clone(space),
            compare_seconds: key(space, names::COMPARE_SECONDS, &[]),
            join_seconds: key(space, names::JOIN_SECONDS, &[]),
            publish_at: Duration::ZERO,
            counted: [0; counts::LEN],
            peers: BTreeSet::new(),
            frames_compared: stats.frames_compared,
            frames_joined: stats.frames_joined,
        };
        // A counter that begins with its first failure has no increase to be alarmed by.
        for (outcome, reason) in reasons::FAILURES {
            this.count(names::SESSION_FAILURES, &[("outcome", outcome), ("reason", reason)], 0);
        }
        for reason in reasons::REJECTIONS {
            this.count(names::REJECTIONS, &[("reason", reason)], 0);
        }
        this.count(names::MISSED_EVENTS, &[], 0);
        this
    }

    /// When to publish next.
    pub(in crate::driver) fn publish_at(&self) -> Duration {
        self.publish_at
    }

    /// Counts what is known from events alone.
    pub(in crate::driver) fn event<K>(&self, event: &Event<K>) {
        match event {
            Event::SessionEnded { finished, .. } => {
                let outcome = finished.outcome.name();
                observe(&self.key(names::SESSION_SECONDS, &[("outcome", outcome)]), finished.stats.duration);
                if let Some(reason) = reasons::of_outcome(&finished.outcome) {
                    self.count(names::SESSION_FAILURES, &[("outcome", outcome), ("reason", reason)], 1);
                }
            }
            Event::PushRejected { rejection: refusal, .. } | Event::Refused { reason: refusal, .. } => {
                if let Some(reason) = reasons::of_rejection(refusal) {
                    self.count(names::REJECTIONS, &[("reason", reason)], 1);
                }
            }
            Event::Missed(events) => self.count(names::MISSED_EVENTS, &[], *events),
            _ => {}
        }
    }

    /// Records how long a frame took, if it compared or changed something.
    pub(in crate::driver) fn handled<V: Replicated>(&mut self, engine: &Engine<V>, took: Duration) {
        let stats = engine.stats();
        if stats.frames_joined > self.frames_joined {
            observe(&self.join_seconds, took);
        } else if stats.frames_compared > self.frames_compared {
            observe(&self.compare_seconds, took);
        }
        (self.frames_compared, self.frames_joined) = (stats.frames_compared, stats.frames_joined);
    }

    /// Publishes what the engine has counted, if that is due.
    pub(in crate::driver) fn publish<V: Replicated>(
        &mut self,
        engine: &mut Engine<V>,
        queued: impl FnOnce() -> Queued,
        now: Now,
    ) {
        if now.elapsed >= self.publish_at {
            self.publish_at = now.elapsed.saturating_add(EVERY);
            self.publish_now(engine, queued(), now);
        }
    }

    /// Publishes it for the last time, and drops this, before the caller of `shutdown` hears of it.
    pub(in crate::driver) fn end<V: Replicated>(mut self, engine: &mut Engine<V>, queued: Queued, now: Now) {
        self.publish_now(engine, queued, now);
    }

    fn publish_now<V: Replicated>(&mut self, engine: &mut Engine<V>, queued: Queued, now: Now) {
        let status = engine.status(now);
        let counts = counts::of(&status.engine, &status.replica, queued.dropped_frames);
        for (index, (name, label, value)) in counts.into_iter().enumerate() {
            // By difference, so that a replica that is opened again goes on where it was.
            self.count(name, label.as_slice(), value.saturating_sub(self.counted[index]));
            self.counted[index] = value.max(self.counted[index]);
        }
        self.publish_state(&status);
        self.set(names::CLOCK_REPLICAS, &[], number(engine.replica().context().replicas_len()));
        self.set(names::OLDEST_SESSION, &[], engine.oldest_session(now).unwrap_or_default().as_secs_f64());
        self.set(names::QUEUED, &[("kind", "sends")], number(engine.queued_len()));
        self.set(names::QUEUED, &[("kind", "frames")], number(queued.frames));
        self.set(names::QUEUED, &[("kind", "calls")], number(queued.calls));
        self.publish_peers(&status.peers);
    }

    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn publish_state(&self, status: &Status) {
        self.set(names::ENTRIES, &[], status.entries as f64);
        self.set(names::CONFLICTS, &[], number(status.conflicts));
        let size = |entry: Option<(KeyHash, usize)>| number(entry.map_or(0, |(_, size)| size));
        self.set(names::LARGEST_ENTRY, &[], size(status.largest_entry));
        self.set(names::MOST_SIBLINGS, &[], size(status.most_siblings));
        self.set(names::HOLES, &[], number(status.holes));
        self.set(names::SESSIONS, &[], number(status.sessions));
        self.set(names::LAST_JOINED, &[], since(status.last_joined));
        self.set(names::PEERS, &[], number(status.peers.len()));
        let (received, needed) = (status.engine.value_bytes_received, status.replica.value_bytes_needed);
        self.set(names::OVERSTREAM, &[], received as f64 / needed as f64);
    }

    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn publish_peers(&mut self, peers: &[PeerStatus]) {
        let mut gone = std::mem::take(&mut self.peers);
        for peer in peers {
            gone.remove(&peer.peer);
            self.peers.insert(peer.peer.clone());
            self.set_of_peer(names::PEER_LAG, &peer.peer, since(peer.lag));
            self.set_of_peer(names::PEER_CERTIFIED_LAG, &peer.peer, since(peer.certified_lag));
            self.set_of_peer(names::PEER_SILENT, &peer.peer, since(peer.silent));
            self.set_of_peer(names::PEER_DIFFERENCES, &peer.peer, peer.differences as f64);
            self.set_of_peer(names::PEER_FAILURES, &peer.peer, peer.failures.into());
            self.set_of_peer(names::PEER_BACKOFF, &peer.peer, peer.backoff.as_secs_f64());
            self.set_of_peer(names::PEER_PUT_OFF, &peer.peer, peer.put_off.as_secs_f64());
        }
        for peer in &gone {
            self.forget_peer(peer);
        }
    }

    /// A gauge cannot be removed: it becomes `NaN` when nothing is known any more.
    fn forget_peer(&self, peer: &PeerId) {
        for name in [
            names::PEER_LAG,
            names::PEER_CERTIFIED_LAG,
            names::PEER_SILENT,
            names::PEER_DIFFERENCES,
            names::PEER_FAILURES,
            names::PEER_BACKOFF,
            names::PEER_PUT_OFF,
        ] {
            self.set_of_peer(name, peer, f64::NAN);
        }
    }

    fn set_of_peer(&self, name: &'static str, peer: &PeerId, value: f64) {
        let key = self.key(name, &[]).with_extra_labels(vec![Label::new("peer", peer.as_str().to_string())]);
        with_recorder(|recorder| recorder.register_gauge(&key, &METADATA).set(value));
    }

    fn set(&self, name: &'static str, own: &[(&'static str, &'static str)], value: f64) {
        with_recorder(|recorder| recorder.register_gauge(&self.key(name, own), &METADATA).set(value));
    }

    fn count(&self, name: &'static str, own: &[(&'static str, &'static str)], more: u64) {
        with_recorder(|recorder| recorder.register_counter(&self.key(name, own), &METADATA).increment(more));
    }

    fn key(&self, name: &'static str, own: &[(&'static str, &'static str)]) -> Key {
        key(&self.space, name, own)
    }
}

/// Once the engine is driven no more, its gauges become `NaN`; counters stay what they are.
impl Drop for Metrics {
    fn drop(&mut self) {
        for name in [
            names::ENTRIES,
            names::CONFLICTS,
            names::HOLES,
            names::CLOCK_REPLICAS,
            names::SESSIONS,
            names::LAST_JOINED,
            names::PEERS,
            names::OVERSTREAM,
            names::OLDEST_SESSION,
        ] {
            self.set(name, &[], f64::NAN);
        }
        for kind in ["sends", "frames", "calls"] {
            self.set(names::QUEUED, &[("kind", kind)], f64::NAN);
        }
        for peer in &self.peers {
            self.forget_peer(peer);
        }
    }
}

fn key(space: &Arc<str>, name: &'static str, own: &[(&'static str, &'static str)]) -> Key {
    let space = Label::new("space", Arc::clone(space));
    let own = own.iter().map(|(key, value)| Label::from_static_parts(key, value));
    Key::from_parts(name, std::iter::once(space).chain(own).collect::<Vec<_>>())
}

fn observe(key: &Key, took: Duration) {
    with_recorder(|recorder| recorder.register_histogram(key, &METADATA).record(took.as_secs_f64()));
}

/// Seconds since something happened; infinite if it never has, which is above the threshold of any alarm.
fn since(ago: Option<Duration>) -> f64 {
    ago.map_or(f64::INFINITY, |ago| ago.as_secs_f64())
}

#[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn number(count: usize) -> f64 {
    count as f64
}
