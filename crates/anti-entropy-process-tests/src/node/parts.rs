//! What a node is made of: its store, its randomness, its transport, and what is broken of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::clock::{RandomnessUnavailable, Seed};
use anti_entropy::{Continuity, Handle, Marker, MemoryStore, Opening, ReplicaConfig, Store, Transport};
use anti_entropy_net::swim::{ClusterKey, Routes, SwimConfig, SwimTimings};
use anti_entropy_net::{BindError, ClusterName, QuicConfig, QuicTransport, TcpConfig, TcpTransport, TransportLimits};
use anti_entropy_redb::{FileError, MarkerFile, RedbConfig, RedbFile, Schema};

use super::driven::Driven;
use super::{Item, NodeError, name_of};
use crate::wire::{Broken, Carrier, Options};

/// The file of a node's database, in the directory of its store.
pub fn database(store: &Path) -> PathBuf {
    store.join("replica.redb")
}

fn marker(options: &Options) -> MarkerFile {
    MarkerFile::new(options.store.join("marker"))
}

pub(super) fn open_store(options: &Options) -> Result<Box<dyn Store>, FileError> {
    if options.broken == Some(Broken::VolatileStore) {
        return Ok(Box::new(MemoryStore::new()));
    }
    let (path, config) = (database(&options.store), RedbConfig::new(Schema::new("process tests", 1)));
    let file = if path.exists() { RedbFile::open(path, config)? } else { RedbFile::create(path, config)? };
    Ok(Box::new(file.space("all")?))
}

/// Fresh randomness, and the marker of the last closing if there is one: it is taken away before the store is opened.
pub(super) fn opening(options: &Options) -> Result<Opening, NodeError> {
    let marker = marker(options).take().map_err(NodeError::Marker)?;
    let continuity = if options.broken == Some(Broken::VouchesForItsStore) { Continuity::Vouched } else { marker };
    Ok(Opening::from(Seed::from_os()?).with(|config| {
        config.continuity = continuity;
        config.config = ReplicaConfig::default();
    }))
}

pub(super) fn keep_marker(options: &Options, proof: Marker) -> Result<(), NodeError> {
    marker(options).keep(proof).map_err(NodeError::Marker)
}

pub(super) fn engine_seed() -> Result<u64, RandomnessUnavailable> {
    Ok(Seed::from_os()?.derive_u64("engine"))
}

/// The cluster of all nodes of a run.
fn cluster() -> ClusterName {
    ClusterName::new("process-tests").expect("a short name")
}

/// The transport, and what tells it who its peers are: the membership does.
pub(super) async fn bind(options: &Options) -> Result<(Arc<dyn Transport>, Arc<dyn Routes>), BindError> {
    let (name, tls) = (name_of(options.node), options.tls.clone());
    // A peer that is gone is noticed while the test still runs.
    let limits = TransportLimits::default().with(|limits| {
        limits.reconnect_max = Duration::from_secs(1);
        limits.handshake_timeout = Duration::from_secs(2);
        limits.write_timeout = Duration::from_secs(3);
        limits.lost_after = Duration::from_secs(3);
    });
    Ok(match options.carrier {
        Carrier::Quic => {
            let config = QuicConfig::new(cluster(), name, options.listen, tls).with(|config| config.limits = limits);
            let transport = Arc::new(QuicTransport::bind(config).await?);
            (Arc::clone(&transport) as _, transport)
        }
        Carrier::Tcp => {
            let config = TcpConfig::new(cluster(), name, options.listen).with(|config| {
                config.limits = limits;
                config.tls = Some(tls);
            });
            let transport = Arc::new(TcpTransport::bind(config).await?);
            (Arc::clone(&transport) as _, transport)
        }
    })
}

/// A membership that finds failures, and nodes that come back, within a few seconds.
pub(super) fn swim(options: &Options) -> SwimConfig {
    let timings = SwimTimings::default().with(|timings| {
        timings.suspect_for = Duration::from_secs(2);
        timings.look_for_down_interval = Duration::from_secs(1);
        timings.exchange_interval = Duration::from_secs(5);
        timings.seed_retry_max = Duration::from_secs(1);
        timings.seed_interval = Duration::from_secs(5);
        timings.rejoin_max = Duration::from_secs(2);
    });
    SwimConfig::new(name_of(options.node), options.swim, options.listen, ClusterKey::new(options.key)).with(|config| {
        config.seeds = options.seeds.iter().map(ToString::to_string).collect();
        config.timings = timings;
    })
}

/// Plants a bug of the core on the engine's thread, if one is wanted.
pub(super) async fn plant(handle: &Handle<Item, Driven>, broken: Option<&Broken>) -> Result<(), NodeError> {
    let Some(Broken::Planted(name)) = broken else { return Ok(()) };
    let Some(plant) = planting(name) else { return Err(NodeError::NoSuchBug(name.clone())) };
    Ok(handle.with(move |_, _| plant()).await?)
}

#[cfg(not(feature = "mutants"))]
fn planting(_name: &str) -> Option<fn()> {
    None
}

/// What plants the bug of this name on the thread that calls it.
#[cfg(feature = "mutants")]
fn planting(name: &str) -> Option<fn()> {
    use anti_entropy::__private::{Mutant, plant};
    Some(match name {
        "PushRemovesAllHeld" => || plant(Mutant::PushRemovesAllHeld),
        "PushIgnoresWhatItReplaces" => || plant(Mutant::PushIgnoresWhatItReplaces),
        "PushAcceptedWhateverItsCounter" => || plant(Mutant::PushAcceptedWhateverItsCounter),
        "LiveOverwrittenInsteadOfJoined" => || plant(Mutant::LiveOverwrittenInsteadOfJoined),
        "ContextForgets" => || plant(Mutant::ContextForgets),
        "FingerprintBlindToVersions" => || plant(Mutant::FingerprintBlindToVersions),
        "SessionConvergesUnchecked" => || plant(Mutant::SessionConvergesUnchecked),
        "EqualRootsSkipContexts" => || plant(Mutant::EqualRootsSkipContexts),
        "PushesRepeatedEveryRound" => || plant(Mutant::PushesRepeatedEveryRound),
        "LastRangeExchangedForEver" => || plant(Mutant::LastRangeExchangedForEver),
        "WholeClockJoinedOutsideTheRange" => || plant(Mutant::WholeClockJoinedOutsideTheRange),
        _ => return None,
    })
}
