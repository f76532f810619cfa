//! The processes, as seen by who operates them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anti_entropy::{GossipConfig, PeerId};
use anti_entropy_net::swim::SwimTimings;
use anti_entropy_net::{TestAuthority, TestCertificate, TlsConfig, Trust};
use anti_entropy_process_tests::hostile::{Abuse, Order};
use anti_entropy_process_tests::operated::{Answer, PLAYS, Request, SONGS, Settings, View};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::page::Page;

/// How long a test waits for what must happen; never reached when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the nodes of a cluster have in common, and the directory that has everything.
pub(crate) struct Cluster {
    authority: TestAuthority,
    /// The cluster's key, in hexadecimal.
    pub(crate) key: String,
    timings: SwimTimings,
    /// How replicas gossip, unless a node's settings say otherwise.
    pub(crate) gossip: GossipConfig,
    pub(crate) directory: TempDir,
}

impl Cluster {
    /// A cluster whose failure detector is fast.
    pub(crate) fn new() -> Self {
        Self::with(SwimTimings::default().with(|timings| {
            timings.probe_interval = Duration::from_millis(500);
            timings.probe_timeout = Duration::from_millis(250);
            timings.suspect_for = Duration::from_millis(1500);
            timings.look_for_down_interval = Duration::from_secs(1);
            timings.exchange_interval = Duration::from_secs(2);
            timings.seed_retry_max = Duration::from_secs(1);
            timings.seed_interval = Duration::from_secs(2);
            timings.rejoin_max = Duration::from_secs(2);
        }))
    }

    /// A cluster whose failure detector finds nobody down while a test runs.
    pub(crate) fn without_detector() -> Self {
        let fast = Self::new();
        Self { timings: fast.timings.with(|timings| timings.suspect_for = Duration::from_secs(24 * 60 * 60)), ..fast }
    }

    fn with(timings: SwimTimings) -> Self {
        let authority = TestAuthority::new().expect("there are random numbers");
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let key = [fastrand::u64(..); 4].map(|quarter| format!("{quarter:016x}")).concat();
        Self { authority, key, timings, gossip: GossipConfig::test(), directory }
    }

    /// A node that was never started, with a certificate of the authority.
    pub(crate) fn node(&self, name: &str) -> Node {
        let certificate = self.authority.issue(name).expect("a DNS name");
        let tls = certificate.write(&self.subdirectory(&format!("{name}.tls"))).expect("there is room").config();
        self.node_with(name, name, tls)
    }

    /// A member that misbehaves.
    pub(crate) fn hostile(&self, name: &str) -> Node {
        Node { program: env!("CARGO_BIN_EXE_anti-entropy-hostile-node"), ..self.node(name) }
    }

    /// A node that believes those on a list, and its self-signed certificate.
    pub(crate) fn listed_node(&self, name: &str) -> (Node, TestCertificate) {
        let certificate = TestCertificate::self_signed(name).expect("a DNS name");
        let files = certificate.write(&self.subdirectory(&format!("{name}.tls"))).expect("there is room");
        let trust = Trust::Fingerprints(BTreeMap::new());
        (self.node_with(name, name, files.config().with(|tls| tls.trust = trust)), certificate)
    }

    /// A node with this certificate, and files of its own under `place`.
    pub(crate) fn node_with(&self, name: &str, place: &str, tls: TlsConfig) -> Node {
        let settings = Settings {
            cluster: "runbook".parse().expect("a short name"),
            name: PeerId::from(name),
            database: self.subdirectory(&format!("{place}.data")).join("database.redb"),
            markers: self.subdirectory(&format!("{place}.markers")),
            tls,
            keys: self.subdirectory(&format!("{place}.tls")).join("cluster.keys"),
            generation: self.subdirectory(&format!("{place}.tls")).join("vm-generation"),
            swim: "127.0.0.1:0".parse().expect("an address"),
            seeds: Vec::new(),
            timings: self.timings.clone(),
            schema_ids: BTreeMap::new(),
            gossip: self.gossip.clone(),
            log: self.directory.path().join(format!("{place}.log")),
        };
        let node = Node { settings, program: env!("CARGO_BIN_EXE_anti-entropy-operated-node"), running: None };
        node.give_keys(&[&self.key]);
        node
    }

    /// Another certificate for a name.
    pub(crate) fn certificate(&self, name: &str) -> TestCertificate {
        self.authority.issue(name).expect("a DNS name")
    }

    pub(crate) fn subdirectory(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(&path).expect("there is room for a directory");
        path
    }

    /// Started nodes of these names that know each other.
    pub(crate) fn start<const N: usize>(&self, names: [&str; N]) -> [Node; N] {
        let mut seeds = Vec::new();
        let nodes = names.map(|name| {
            let mut node = self.node(name);
            node.settings.seeds.clone_from(&seeds);
            node.start();
            seeds.push(node.swim().to_string());
            node
        });
        met(&nodes.each_ref());
        nodes
    }
}

/// A node: what stays of it while its process comes and goes.
pub(crate) struct Node {
    pub(crate) settings: Settings,
    program: &'static str,
    running: Option<Running>,
}

struct Running {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<Answer>,
    swim: SocketAddr,
    metrics: SocketAddr,
}

impl Node {
    pub(crate) fn name(&self) -> &str {
        self.settings.name.as_str()
    }

    /// Writes the file of its cluster's keys, of which the first is sent with.
    pub(crate) fn give_keys(&self, keys: &[&str]) {
        std::fs::write(&self.settings.keys, keys.join("\n")).expect("there is room");
    }

    /// Starts its process, and says under which ids its spaces were opened.
    pub(crate) fn start(&mut self) -> BTreeMap<String, String> {
        let mut child = Command::new(self.program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo has built it");
        let requests = child.stdin.take().expect("it is piped");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (said, answers) = channel();
        std::thread::spawn(move || {
            // A process that is killed may leave half of a line.
            for answer in lines.map_while(|line| serde_json::from_str(&line.ok()?).ok()) {
                if said.send(answer).is_err() {
                    break;
                }
            }
        });
        let unknown = SocketAddr::from(([0; 4], 0));
        let running = self.running.insert(Running { child, requests, answers, swim: unknown, metrics: unknown });
        running.say(&self.settings);
        let Answer::Ready { swim, metrics, replicas } = running.next() else { panic!("it is to say that it is ready") };
        (running.swim, running.metrics) = (swim, metrics);
        replicas
    }

    /// Starts it with these as its seeds.
    pub(crate) fn join(&mut self, seeds: &[&Self]) -> BTreeMap<String, String> {
        self.settings.seeds = seeds.iter().map(|seed| seed.swim().to_string()).collect();
        self.start()
    }

    pub(crate) fn swim(&self) -> SocketAddr {
        self.running.as_ref().expect("it runs").swim
    }

    pub(crate) fn process(&self) -> u32 {
        self.running.as_ref().expect("it runs").child.id()
    }

    /// Tells a member that misbehaves how.
    pub(crate) fn abuse(&mut self, does: &[Abuse]) {
        let running = self.running.as_mut().expect("it runs");
        running.say(&Order::Do(does.iter().copied().collect()));
        assert!(matches!(running.next(), Answer::Done));
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        let running = self.running.as_mut().expect("it runs");
        running.say(request);
        running.next()
    }

    /// Asks for what is to be done.
    pub(crate) fn has_to(&mut self, request: &Request) {
        match self.ask(request) {
            Answer::Done => {}
            answer => panic!("{} answered {answer:?} to {request:?}", self.name()),
        }
    }

    pub(crate) fn write(&mut self, space: &str, key: &str, value: &str) {
        let (space, key, value) = (space.to_owned(), key.to_owned(), value.to_owned());
        self.has_to(&Request::Write { space, key, value });
    }

    pub(crate) fn delete(&mut self, space: &str, key: &str) {
        self.has_to(&Request::Delete { space: space.to_owned(), key: key.to_owned() });
    }

    pub(crate) fn look(&mut self) -> BTreeMap<String, View> {
        match self.ask(&Request::Look) {
            Answer::Looked(spaces) => spaces,
            answer => panic!("{} answered {answer:?}", self.name()),
        }
    }

    /// What one of its spaces holds.
    pub(crate) fn holds(&mut self, space: &str) -> BTreeMap<String, Vec<String>> {
        self.look().remove(space).expect("there is such a space").entries
    }

    /// The values of a key, in order.
    pub(crate) fn values(&mut self, space: &str, key: &str) -> Vec<String> {
        let mut values = self.holds(space).remove(key).unwrap_or_default();
        values.sort();
        values
    }

    /// What Prometheus would read now.
    pub(crate) fn page(&self) -> Page {
        Page::read(self.running.as_ref().expect("it runs").metrics)
    }

    /// How many peers each of its spaces has, if that is the same.
    pub(crate) fn peers(&self) -> Option<f64> {
        let page = self.page();
        let [songs, plays] = [SONGS, PLAYS].map(|space| page.value("anti_entropy_peers", &[("space", space)]));
        songs.filter(|_| songs == plays)
    }

    /// Waits until its metrics are as they should be.
    pub(crate) fn until_page(&self, what: &str, right: impl Fn(&Page) -> bool) {
        until(&format!("{}: {what}", self.name()), || right(&self.page()));
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        drop(self.running.take());
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) {
        self.has_to(&Request::Shutdown);
        let mut running = self.running.take().expect("it runs");
        until("a process that was told to ends", || running.child.try_wait().expect("it is our child").is_some());
    }

    /// Makes it stand still, or go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        let running = self.running.as_ref().expect("it runs");
        kill_process(Pid::from_child(&running.child), signal).expect("it is our child, and not waited for");
    }
}

impl Running {
    fn say(&mut self, what: &impl serde::Serialize) {
        let line = serde_json::to_string(what).expect("plain data");
        self.requests.write_all(format!("{line}\n").as_bytes()).expect("it listens");
    }

    fn next(&self) -> Answer {
        self.answers.recv_timeout(PATIENCE).expect("it answers")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until each of these nodes has all others as peers, and no other.
pub(crate) fn met(nodes: &[&Node]) {
    #[allow(clippy::cast_precision_loss, reason = "they are few")]
    let others = (nodes.len() - 1) as f64;
    for node in nodes {
        until(&format!("{} has met {others} others", node.name()), || node.peers() == Some(others));
    }
}

/// Waits until all of these nodes hold the same in all spaces.
pub(crate) fn equal(nodes: &mut [&mut Node]) {
    let mut views = Vec::new();
    let began = Instant::now();
    loop {
        views.clear();
        views.extend(nodes.iter_mut().map(|node| [SONGS, PLAYS].map(|space| node.holds(space))));
        if views.windows(2).all(|two| two[0] == two[1]) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "they are not equal: {views:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
