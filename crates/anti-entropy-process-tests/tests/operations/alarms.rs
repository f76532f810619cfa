//! Read the metrics: all that the runbook names is there, and a healthy cluster raises no alarm.

use std::collections::BTreeSet;

use anti_entropy_process_tests::operated::{PLAYS, SONGS};

use crate::cluster::{Cluster, equal};
use crate::page::Page;

fn runbook() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    std::fs::read_to_string(path).expect("the runbook is there")
}

/// An alarm of the runbook: it goes off if a series of this name and labels is above this, or grows if that is nothing.
#[derive(Debug)]
struct Alarm {
    name: String,
    labels: Vec<(String, String)>,
    above: f64,
}

impl Alarm {
    fn parse(line: &str) -> Self {
        let expression = line.split('`').nth(1).expect(line);
        let (series, above) = expression.rsplit_once(" > ").expect(line);
        let series = match series.strip_prefix("increase(") {
            Some(increase) => increase.split('[').next().expect(line),
            None => series,
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').expect(line).split(',').filter(|label| !label.is_empty());
        let label = |label: &str| {
            let (key, value) = label.split_once('=').expect(line);
            (key.to_owned(), value.trim_matches('"').to_owned())
        };
        Self { name: name.to_owned(), labels: labels.map(label).collect(), above: above.parse().expect(line) }
    }

    fn values(&self, page: &Page) -> Vec<f64> {
        let labels: Vec<_> = self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        page.values(&self.name, &labels)
    }
}

fn alarms() -> Vec<Alarm> {
    let text = runbook();
    let (_, section) = text.split_once("### Worth an alarm").expect("it has alarms");
    let alarms: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).map(Alarm::parse).collect();
    assert!(alarms.len() >= 7, "{alarms:?}");
    alarms
}

/// All metrics of the tables.
fn documented() -> BTreeSet<String> {
    let text = runbook();
    let rows = text.lines().filter(|line| line.starts_with("| `anti_entropy_") && line.matches('|').count() == 5);
    rows.map(|line| line.split('`').nth(1).expect(line).to_owned()).collect()
}

#[test]
fn all_that_is_named_is_there_and_a_healthy_cluster_raises_no_alarm() {
    let cluster = Cluster::without_detector();
    let [mut a, mut b] = cluster.start(["node-a", "node-b"]);
    a.write(SONGS, "flamenco sketches", "evans");
    b.write(PLAYS, "5", "1959");
    equal(&mut [&mut a, &mut b]);
    for node in [&a, &b] {
        node.until_page("all metrics of the tables are there", |page| {
            let missing: Vec<_> = documented().difference(&page.families).cloned().collect();
            missing.is_empty()
        });
        node.until_page("no lag is infinite", |page| {
            page.values("anti_entropy_peer_lag_seconds", &[]).iter().all(|lag| lag.is_finite())
        });
        let page = node.page();
        for alarm in alarms() {
            let values = alarm.values(&page);
            assert!(!values.is_empty(), "{alarm:?} is about nothing that is there");
            assert!(values.iter().all(|value| *value <= alarm.above), "{alarm:?}: {values:?}");
        }
    }
}

#[test]
fn a_peer_that_was_never_reached_raises_an_alarm() {
    let cluster = Cluster::without_detector();
    let [mut a] = cluster.start(["node-a"]);
    // Two that hold nothing are equal, which they announce.
    a.write(SONGS, "flamenco sketches", "evans");
    // The certificate of an authority that nobody else knows.
    let stranger =
        Cluster::new().certificate("node-b").write(&cluster.subdirectory("stranger")).expect("there is room");
    let mut b = cluster.node_with("node-b", "node-b", stranger.config());
    b.join(&[&a]);
    let alarm = alarms().into_iter().find(|alarm| alarm.name == "anti_entropy_peer_lag_seconds").expect("there is one");
    a.until_page("the lag is above all bounds", |page| alarm.values(page).iter().any(|value| *value > alarm.above));
    a.until_page("it says why", |page| page.refused("unknown_issuer") > 0.0);
}
