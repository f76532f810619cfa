//! The node: what it is made of, and what it does when it is asked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Engine, drive};
use anti_entropy::transport::{Channels, ChannelsConfig};
use anti_entropy::{Clock, DriverConfig, Handle, KeepAll, Keyed, Opening, Replica, Replicated, SystemClock};
use anti_entropy_net::swim::{ClusterKeys, Membership, MembershipMetrics, SpaceReplica, SwimConfig, follow};
use anti_entropy_net::{
    PrometheusConfig, PrometheusEndpoint, QuicConfig, QuicTransport, TransportLimits, TransportMetrics,
};
use anti_entropy_redb::{MarkerFile, RedbConfig, RedbFile, Schema};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tracing_subscriber::filter::LevelFilter;

use super::Failure;
use super::space::Spoken;
use super::wire::{Answer, PLAYS, Request, SONGS, Settings};

/// Each space's name, by the number that it has in channels and announcements.
pub(crate) const SPACES: [(u64, &str); 2] = [(1, SONGS), (2, PLAYS)];

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Node {
    spaces: BTreeMap<&'static str, Arc<dyn Spoken>>,
    file: RedbFile,
    settings: Settings,
    transport: Arc<QuicTransport>,
    membership: Arc<Membership>,
    /// Ends when it is dropped.
    _endpoint: PrometheusEndpoint,
}

/// Runs a node until it is told to shut down, or nobody is there to tell it.
///
/// # Errors
/// [`Failure`] if it cannot be what it is told to be, or is told what it does not understand.
pub async fn run() -> Result<(), Failure> {
    let mut lines = BufReader::new(stdin()).lines();
    let settings = lines.next_line().await?.ok_or("nobody said what this node is")?;
    let (node, ready) = Node::start(serde_json::from_str(&settings)?).await?;
    say(&ready)?;
    while let Some(line) = lines.next_line().await? {
        let request = serde_json::from_str(&line)?;
        let last = matches!(request, Request::Shutdown);
        say(&node.answer(request).await.unwrap_or_else(|error| Answer::Failed { reason: error.to_string() }))?;
        if last {
            break;
        }
    }
    Ok(())
}

impl Node {
    async fn start(settings: Settings) -> Result<(Self, Answer), Failure> {
        log_to(&settings)?;
        // Before anything that tells metrics.
        let endpoint =
            PrometheusEndpoint::bind(PrometheusConfig::default().with(|config| config.listen = LOOPBACK)).await?;
        let file = RedbFile::create(&settings.database, RedbConfig::new(Schema::new("operated", 1)))?;
        let transport = Arc::new(QuicTransport::bind(quic(&settings)).await?);
        let (channels, carry) = Channels::new(Arc::clone(&transport), ChannelsConfig::default())?;
        tokio::spawn(carry);

        let parts = Parts { settings: &settings, file: &file, channels: &channels };
        let songs: Opened<Keyed<String, String>> = parts.open(SPACES[0])?;
        let plays: Opened<Keyed<u32, u64>> = parts.open(SPACES[1])?;
        let replicas = [(SONGS.to_owned(), songs.replica), (PLAYS.to_owned(), plays.replica)].into();
        let spaces: BTreeMap<_, Arc<dyn Spoken>> =
            [(SONGS, Arc::new(songs.handle) as Arc<dyn Spoken>), (PLAYS, Arc::new(plays.handle))].into();

        let membership = Arc::new(Membership::join(swim(&settings, transport.local_addr())?).await?);
        let followed = SPACES.map(|(number, name)| (number, Arc::clone(&spaces[name]) as Arc<dyn SpaceReplica>));
        tokio::spawn(follow(Arc::clone(&membership), transport.clone(), followed.into()));

        let counters = Arc::clone(&transport);
        tokio::spawn(TransportMetrics::new("quic", &settings.name).run(move || counters.stats()));
        tokio::spawn(MembershipMetrics::new(&settings.name).run(Arc::clone(&membership)));
        let ready = Answer::Ready { swim: membership.local_addr(), metrics: endpoint.local_addr(), replicas };
        Ok((Self { spaces, file, settings, transport, membership, _endpoint: endpoint }, ready))
    }

    async fn answer(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Write { space, key, value } => self.space(&space)?.put(&key, &value).await?,
            Request::Delete { space, key } => self.space(&space)?.take_away(&key).await?,
            Request::Look => {
                let mut looked = BTreeMap::new();
                for (name, space) in &self.spaces {
                    looked.insert((*name).to_owned(), space.look().await?);
                }
                return Ok(Answer::Looked(looked));
            }
            Request::ReloadTls => self.transport.reload_tls()?,
            Request::SetTls(config) => self.transport.set_tls(config)?,
            Request::ReloadKeys => self.membership.set_keys(ClusterKeys::from_file(&self.settings.keys)?).await?,
            Request::Backup(path) => self.file.backup(path)?,
            Request::RemovePeer(peer) => {
                self.transport.remove_peer(&peer);
                for space in self.spaces.values() {
                    space.remove_peer(peer.clone()).await?;
                }
            }
            Request::Shutdown => self.stop().await?,
        }
        Ok(Answer::Done)
    }

    fn space(&self, name: &str) -> Result<&Arc<dyn Spoken>, Failure> {
        Ok(self.spaces.get(name).ok_or_else(|| format!("there is no space {name}"))?)
    }

    async fn stop(&self) -> Result<(), Failure> {
        self.membership.leave().await;
        for (name, space) in &self.spaces {
            marker(&self.settings, name).keep(space.close().await?)?;
        }
        self.transport.close().await;
        Ok(())
    }
}

/// A replica's id as it was opened, and the way to it.
struct Opened<V: Replicated> {
    replica: String,
    handle: Handle<V>,
}

/// What the spaces of a node share.
struct Parts<'a> {
    settings: &'a Settings,
    file: &'a RedbFile,
    channels: &'a Channels,
}

impl Parts<'_> {
    fn open<V: Replicated>(&self, (number, name): (u64, &str)) -> Result<Opened<V>, Failure> {
        let continuity = marker(self.settings, name).take()?;
        let opening = Opening::from(Seed::from_os()?).with(|opening| opening.continuity = continuity);
        let replica = Replica::open(self.file.space(name)?, KeepAll, opening)?;
        let id = replica.id().to_string();
        let schema_id = self.settings.schema_ids.get(name).copied().unwrap_or_default();
        let gossip = self.settings.gossip.clone().with(|config| config.session.schema_id = schema_id);
        let clock = SystemClock::new();
        let mut engine = Engine::new(replica, gossip, fastrand::u64(..), clock.now())?;
        engine.set_space(name);
        let (handle, driver) = drive(engine, self.channels.open(number)?, clock, DriverConfig::default())?;
        tokio::spawn(driver);
        Ok(Opened { replica: id, handle })
    }
}

/// Writes warnings and errors to the file of the settings, as an operator's log has them.
fn log_to(settings: &Settings) -> Result<(), Failure> {
    let file = File::options().create(true).append(true).open(&settings.log)?;
    let log =
        tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_ansi(false).with_writer(Mutex::new(file));
    log.try_init()
}

fn marker(settings: &Settings, space: &str) -> MarkerFile {
    MarkerFile::new(settings.markers.join(format!("{space}.marker")))
}

/// Peers that were refused are tried again soon, since tests wait for it.
pub(crate) fn quic(settings: &Settings) -> QuicConfig {
    let limits = TransportLimits::default().with(|limits| limits.reconnect_max = Duration::from_millis(500));
    let (cluster, name) = (settings.cluster.clone(), settings.name.clone());
    QuicConfig::new(cluster, name, LOOPBACK, settings.tls.clone()).with(|config| config.limits = limits)
}

pub(crate) fn swim(settings: &Settings, transport: SocketAddr) -> Result<SwimConfig, Failure> {
    let (cluster, name) = (settings.cluster.clone(), settings.name.clone());
    let keys = ClusterKeys::from_file(&settings.keys)?;
    Ok(SwimConfig::new(cluster, name, settings.swim, transport, keys).with(|config| {
        config.seeds.clone_from(&settings.seeds);
        config.snapshots.generation_files = vec![settings.generation.clone()];
        config.timings = settings.timings.clone();
    }))
}

/// A whole line at once.
pub(crate) fn say(answer: &Answer) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}
