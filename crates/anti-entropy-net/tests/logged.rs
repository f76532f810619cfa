//! What a refusal leaves in the log. A binary of its own, since a subscriber is the whole process's.

mod common;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use anti_entropy_net::TransportLimits;
use common::{authority, bind_quic, quic_config, raw, until};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps the warnings of this crate.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("anti_entropy_net") && *metadata.level() == Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().expect("no test has panicked").push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_refusal_is_logged_with_its_reason_and_no_more_than_allowed() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let (authority, other) = (authority(), authority());
    // A second may pass in between, and each has its own ration.
    for (allowed, refusals) in [(1_000, 3), (0, 3)] {
        let limits = TransportLimits::default().with(|limits| limits.refusals_logged_per_second = allowed);
        let b = bind_quic(quic_config(&authority, "b").with(|config| config.limits = limits)).await;
        let mut addresses = Vec::new();
        for _ in 0..refusals {
            let endpoint = raw::endpoint();
            addresses.push(endpoint.local_addr().unwrap().to_string());
            let client = raw::client(Some(&other.issue("a").unwrap()), raw::ALPN);
            if let Ok(connection) = raw::quic(&endpoint, b.local_addr(), client).await {
                common::in_time(connection.closed()).await;
            }
        }
        until(&b, |stats| stats.refused.unknown_issuer == refusals).await;
        let lines = std::mem::take(&mut *log.0.lock().unwrap());
        assert_eq!(lines.len(), if allowed == 0 { 0 } else { 3 }, "{lines:?}");
        for (line, address) in lines.iter().zip(&addresses) {
            assert!(line.contains(address) && line.contains("a certificate of an unknown issuer"), "{line}");
        }
    }
}
