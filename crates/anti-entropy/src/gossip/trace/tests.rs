//! What a subscriber sees of two replicas that converge.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Level, Metadata, Subscriber};

use crate::PeerId;
use crate::gossip::engine::tests::{Cluster, Item, name};
use crate::gossip::{EngineStats, Event, GossipConfig};
use crate::refusal::Refusal;
use crate::replica::LastWriterWins;
use crate::sync::SessionConfig;

type Fields = BTreeMap<&'static str, String>;

/// A span or an event as the subscriber saw it.
#[derive(Clone, Debug, Default)]
struct Seen {
    fields: Fields,
    entered: usize,
    closed: bool,
}

#[derive(Default)]
struct Log {
    spans: Vec<Seen>,
    open: Vec<usize>,
    /// Events, with their level and the span in which they happened.
    events: Vec<(Level, Option<usize>, Fields)>,
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Log>>);

struct Collect<'a>(&'a mut Fields);

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn core::fmt::Debug) {
        self.0.insert(field.name(), alloc::format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_string());
    }
}

impl Collector {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap()
    }

    fn span(id: &Id) -> usize {
        usize::try_from(id.into_u64()).unwrap() - 1
    }

    /// What happens in `body`, as a subscriber sees it.
    ///
    /// While one subscriber is alive, a span that another thread meets first is off for all, if that thread has none:
    /// two more stay alive, so that tests that run at the same time turn nothing off.
    fn of(body: impl FnOnce()) -> Self {
        static OTHERS: OnceLock<[Dispatch; 2]> = OnceLock::new();
        OTHERS.get_or_init(|| [Dispatch::new(Self::default()), Dispatch::new(Self::default())]);
        let collector = Self::default();
        tracing::subscriber::with_default(collector.clone(), body);
        collector
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "anti_entropy"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        assert_eq!(attributes.metadata().name(), "session");
        assert!(attributes.is_root());
        let mut seen = Seen::default();
        attributes.record(&mut Collect(&mut seen.fields));
        self.log().spans.push(seen);
        Id::from_u64(self.log().spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Collect(&mut self.log().spans[Self::span(span)].fields));
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Collect(&mut fields));
        let mut log = self.log();
        let within = log.open.last().copied();
        log.events.push((*event.metadata().level(), within, fields));
    }

    fn enter(&self, span: &Id) {
        let (mut log, index) = (self.log(), Self::span(span));
        log.spans[index].entered += 1;
        log.open.push(index);
    }

    fn exit(&self, span: &Id) {
        assert_eq!(self.log().open.pop(), Some(Self::span(span)));
    }

    fn clone_span(&self, id: &Id) -> Id {
        // One more that has to be closed: counted down again by `try_close`.
        let mut log = self.log();
        let held = log.spans[Self::span(id)].fields.entry("held").or_default();
        held.push('x');
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut log = self.log();
        let seen = &mut log.spans[Self::span(&id)];
        seen.closed = seen.fields.entry("held").or_default().pop().is_none();
        seen.closed
    }
}

fn cluster() -> Cluster<Item> {
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig { push: false, ..GossipConfig::lan() }, 1);
    cluster.engine(0).set_space("songs");
    cluster.write(0, 1, "value");
    cluster
}

/// Runs two replicas until they are equal, and then until every session is at its end; returns what each has counted.
fn converge() -> Vec<EngineStats> {
    let mut cluster = cluster();
    assert!(cluster.run(Duration::from_secs(60), Cluster::equal));
    let at_rest = |cluster: &mut Cluster<Item>| cluster.engines.values().all(crate::gossip::Engine::is_idle);
    assert!(cluster.run(Duration::from_secs(60), at_rest));
    cluster.engines.values().map(crate::gossip::Engine::stats).collect()
}

#[test]
fn each_session_has_one_span_that_closes_with_its_outcome() {
    let mut stats = Vec::new();
    let collector = Collector::of(|| stats = converge());
    let log = collector.log();
    let count = |count: fn(&EngineStats) -> u64| usize::try_from(stats.iter().map(count).sum::<u64>()).unwrap();
    assert_eq!(log.spans.len(), count(|stats| stats.sessions_opened + stats.sessions_accepted));
    let with = |field: &str, value: &str| {
        log.spans.iter().filter(|span| span.fields.get(field).is_some_and(|is| is == value)).count()
    };
    assert_eq!(with("direction", "opened"), count(|stats| stats.sessions_opened));
    assert_eq!(with("direction", "accepted"), count(|stats| stats.sessions_accepted));
    assert_eq!(with("outcome", "converged"), count(|stats| stats.converged));
    assert_eq!(with("outcome", "partial"), count(|stats| stats.partial));
    assert!(with("outcome", "converged") >= 2, "{:?}", log.spans);
    assert_eq!(with("changed", "1"), 1, "one replica took in one key: {:?}", log.spans);
    for span in &log.spans {
        assert!(span.closed && span.entered > 0, "{span:?}");
        let (space, peer) = (&span.fields["space"], &span.fields["peer"]);
        assert_eq!(space, if peer == "node-1" { "songs" } else { "" });
        assert!(span.fields["bytes_sent"].parse::<u64>().unwrap() > 0);
    }
    // The two sides of a session bear the same number.
    let of = |direction: &str| {
        let spans = log.spans.iter().filter(|span| span.fields["direction"] == direction);
        spans.map(|span| span.fields["nonce"].clone()).collect::<alloc::collections::BTreeSet<_>>()
    };
    assert!(of("accepted").is_subset(&of("opened")));
    assert!(log.events.is_empty() && log.open.is_empty());
}

#[test]
fn a_subscriber_changes_nothing() {
    let unseen = converge();
    let mut seen = Vec::new();
    drop(Collector::of(|| seen = converge()));
    assert_eq!(unseen, seen);
}

#[test]
fn a_refusal_is_an_event_within_its_session() {
    let collector = Collector::of(|| {
        let mut cluster = cluster();
        let session = SessionConfig { schema_id: 7, ..SessionConfig::default() };
        cluster.set_session_config(1, session);
        cluster.run(Duration::from_secs(5), |_| false);
        assert!(cluster.engine(0).stats().refused > 0);
    });
    let log = collector.log();
    let (level, within, fields) = &log.events[0];
    assert_eq!(*level, Level::WARN);
    assert_eq!(fields["message"], "session or push refused");
    let span = &log.spans[within.expect("within a session")].fields;
    assert_eq!((&span["outcome"], &span["peer"]), (&"refused".to_string(), &fields["peer"]));
    assert_eq!(span["reason"], fields["reason"]);
}

#[test]
fn what_should_not_happen_is_told_at_its_level() {
    let report = |event: Event<u32>| {
        let collector = Collector::of(|| super::report(&event));
        let log = collector.log();
        log.events.iter().map(|(level, _, fields)| (*level, fields["message"].clone())).next()
    };
    let peer: PeerId = name(1);
    let rejection = Refusal::Malformed("for a test");
    let message = "disk full".to_string();
    assert_eq!(report(Event::StoreFailed { message: message.clone() }), Some((Level::ERROR, message)));
    let rejected = Event::PushRejected { peer: peer.clone(), rejection };
    assert_eq!(report(rejected), Some((Level::WARN, "push rejected".to_string())));
    assert_eq!(report(Event::Diverged { peer }), None);
}

/// What an engine logs that is handed so many frames that are none, in each of these seconds.
fn logged_of(frames: [usize; 3], config: &GossipConfig) -> Vec<Fields> {
    let collector = Collector::of(|| {
        let mut cluster: Cluster<Item> = Cluster::new(2, &LastWriterWins, config, 1);
        for (second, frames) in (1..).zip(frames) {
            let now = crate::clock::Now { elapsed: Duration::from_secs(second), unix_ms: 0 };
            (0..frames).for_each(|_| cluster.engine(0).handle_frame(&name(1), b"no frame", now));
        }
        assert_eq!(cluster.engine(0).stats().frames_refused, frames.iter().sum::<usize>() as u64);
    });
    let log = collector.log();
    log.events.iter().map(|(_, _, fields)| fields.clone()).collect()
}

#[test]
fn of_one_reason_so_many_lines_are_logged_in_a_second_and_then_how_many_were_left_out() {
    let config = GossipConfig { lines_logged_per_second: 7, ..GossipConfig::lan() };
    let logged = logged_of([1_800, 1, 3], &config);
    assert_eq!(logged.len(), 7 + 2 + 3, "{logged:?}");
    assert_eq!(logged[7]["left_out"], "1793");
    assert_eq!(logged.iter().filter(|fields| fields["message"] == "frame refused").count(), 11);
    assert!(logged_of([1_800, 1, 3], &GossipConfig { lines_logged_per_second: 0, ..config }).is_empty());
    assert_eq!(logged_of([1_800, 0, 0], &GossipConfig::lan()).len(), 10);
}

#[test]
fn one_reason_leaves_room_for_another() {
    let event = |rejection| Event::<u32>::PushRejected { peer: name(1), rejection };
    let collector = Collector::of(|| {
        let mut reporter = super::Reporter::new(2);
        for _ in 0..100 {
            reporter.report(&event(Refusal::SchemaId), Duration::ZERO);
            reporter.report(&event(Refusal::Malformed("for a test")), Duration::ZERO);
            reporter.report(&Event::<u32>::StoreFailed { message: "disk full".to_string() }, Duration::ZERO);
        }
    });
    assert_eq!(collector.log().events.len(), 6);
}
