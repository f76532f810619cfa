//! What Prometheus reads of a node.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A page: the families, and the value of each series.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) families: BTreeSet<String>,
    series: BTreeMap<String, f64>,
}

impl Page {
    pub(crate) fn read(address: SocketAddr) -> Self {
        let mut connection = TcpStream::connect(address).expect("it listens");
        connection.set_read_timeout(Some(Duration::from_secs(60))).expect("not zero");
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Self::parse(body)
    }

    fn parse(text: &str) -> Self {
        let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let series = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ').expect(line);
            (series.to_owned(), value.parse().expect(line))
        });
        Self { families: families.map(str::to_owned).collect(), series: series.collect() }
    }

    /// The values of all series of this name with these labels; those that are no number are of what is gone.
    pub(crate) fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let of_name = self.series.iter().filter(|(series, _)| series.split('{').next() == Some(name));
        let has = |series: &str, (key, value): &(&str, &str)| series.contains(&format!("{key}=\"{value}\""));
        let found = of_name.filter(|(series, _)| labels.iter().all(|label| has(series, label)));
        found.map(|(_, value)| *value).filter(|value| !value.is_nan()).collect()
    }

    /// Their sum, if there are any.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.values(name, labels);
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// How many connections were refused, or closed, for this cause.
    pub(crate) fn refused(&self, cause: &str) -> f64 {
        let refused = self.value("anti_entropy_net_refused_connections_total", &[("cause", cause)]);
        // The transport's counters are there once they were told.
        refused.unwrap_or_default()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> f64 {
        self.value("anti_entropy_net_connections_total", &[]).unwrap_or_default()
    }
}
