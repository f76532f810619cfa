//! A replica in a process of its own: a database, a transport, a failure detector, and the engine that needs all three.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Engine, drive};
use anti_entropy::{Clock, DriverConfig, GossipConfig, Handle, KeepAll, Keyed, Opening, Replica, SystemClock};
use anti_entropy_net::swim::{ClusterKey, Membership, SpaceReplica, SwimConfig, follow};
use anti_entropy_net::{QuicConfig, QuicTransport};
use anti_entropy_redb::{MarkerFile, RedbConfig, RedbFile, Schema};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use crate::Failure;
use crate::wire::{Answer, Request, Settings, Status};

type Item = Keyed<String, String>;

/// The name of the cluster: nodes of another one are refused.
const CLUSTER: &str = "durable-cluster";

/// The number of the only space, by which announcements name it.
const SPACE: u64 = 1;

/// How long a session may take to end when the process is to.
const GRACE: Duration = Duration::from_secs(5);

struct Node {
    replica: Handle<Item>,
    transport: Arc<QuicTransport>,
    membership: Arc<Membership>,
    marker: MarkerFile,
}

/// Runs a node until it is told to shut down, or nobody is there to tell it.
pub(crate) async fn run() -> Result<bool, Failure> {
    let mut lines = BufReader::new(stdin()).lines();
    let settings = lines.next_line().await?.ok_or("nobody said what this node is")?;
    let node = Node::start(serde_json::from_str(&settings)?).await?;
    let entries = node.replica.status().await?.entries;
    say(&Answer::Ready { swim: node.membership.local_addr(), entries })?;
    while let Some(line) = lines.next_line().await? {
        let request = serde_json::from_str(&line)?;
        if let Request::Shutdown = request {
            node.stop().await?;
            say(&Answer::Done)?;
            break;
        }
        say(&node.answer(request).await.unwrap_or_else(|error| Answer::Failed { reason: error.to_string() }))?;
    }
    Ok(true)
}

impl Node {
    async fn start(settings: Settings) -> Result<Self, Failure> {
        let file = RedbFile::create(&settings.database, RedbConfig::new(Schema::new("durable-cluster", 1)))?;
        let marker = MarkerFile::new(settings.marker);
        // Good for one opening, so not before the file is open. After a crash there is none, and the replica takes a new id:
        // what the old one wrote is its past.
        let continuity = marker.take()?;
        let opening = Opening::from(Seed::from_os()?).with(|opening| opening.continuity = continuity);
        let replica: Replica<Item> = Replica::open(file.space("items")?, KeepAll, opening)?;

        let loopback = "127.0.0.1:0".parse()?;
        let quic = QuicConfig::new(CLUSTER.parse()?, settings.name.clone(), loopback, settings.tls);
        let transport = Arc::new(QuicTransport::bind(quic).await?);

        let clock = SystemClock::new();
        let engine = Engine::new(replica, GossipConfig::lan(), fastrand::u64(..), clock.now())?;
        let (replica, driver) = drive(engine, Arc::clone(&transport), clock, DriverConfig::default())?;
        tokio::spawn(driver);

        let key = ClusterKey::from_hex(&settings.key)?;
        let swim = SwimConfig::new(settings.name, loopback, transport.local_addr(), key)
            .with(|config| config.seeds = settings.seeds);
        let membership = Arc::new(Membership::join(swim).await?);
        let spaces = BTreeMap::from([(SPACE, Arc::new(replica.clone()) as Arc<dyn SpaceReplica>)]);
        // From here on peers come and go by themselves.
        tokio::spawn(follow(Arc::clone(&membership), transport.clone(), spaces));
        Ok(Self { replica, transport, membership, marker })
    }

    async fn answer(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Write { key, value } => drop(self.replica.write(Keyed::new(key, value)).await?),
            Request::Delete { key } => drop(self.replica.delete(key).await?),
            Request::Converge => {
                let peers = self.replica.status().await?.peers.into_iter().map(|peer| peer.peer);
                self.replica.wait_converged(peers).await?;
            }
            Request::Status => return Ok(Answer::Status(self.status().await?)),
            Request::Entries => return self.entries().await,
            Request::Shutdown => {}
        }
        Ok(Answer::Done)
    }

    async fn status(&self) -> Result<Status, Failure> {
        let status = self.replica.status().await?;
        let transport = self.transport.stats();
        Ok(Status {
            root: status.root.to_string(),
            entries: status.entries,
            // Whom the replica was told of: the membership knows a moment before.
            up: status.peers.into_iter().map(|peer| peer.peer).collect(),
            connections: transport.connected + transport.accepted,
            converged: status.engine.converged,
            bytes_sent: status.engine.bytes_sent,
        })
    }

    async fn entries(&self) -> Result<Answer, Failure> {
        let read = self.replica.with(|engine, _| {
            let mut entries = Vec::new();
            engine.replica().for_each(|key, read| {
                entries
                    .push((key.clone(), read.siblings().iter().map(|version| version.value.value.clone()).collect()));
                ControlFlow::Continue(())
            })?;
            Ok::<_, anti_entropy::Error>(entries)
        });
        Ok(Answer::Entries(read.await??))
    }

    /// Says goodbye to the others, closes the store, and keeps the proof of it, so that the next start goes on under the
    /// same id.
    async fn stop(&self) -> Result<(), Failure> {
        self.membership.leave().await;
        self.marker.keep(self.replica.shutdown(GRACE).await?)?;
        self.transport.close().await;
        Ok(())
    }
}

/// A whole line at once.
fn say(answer: &Answer) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}
