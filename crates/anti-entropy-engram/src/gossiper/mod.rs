//! The gossiper: stores the patterns that a node consolidates, and synchronises them with all nodes of the space.
//!
//! A [`ConsolidationGossiper`] contains an [`Engine`](anti_entropy::engine::Engine) and is driven like one: by hand, without
//! IO, or by [`drive`](anti_entropy::engine::drive).
//!
//! ```
//! use anti_entropy::clock::Seed;
//! use anti_entropy::{Clock, GossipConfig, MemoryNetwork, MemoryStore, PeerId, SystemClock};
//! use anti_entropy::engine::drive;
//! use anti_entropy_engram::gossiper::ConsolidationGossiper;
//! use anti_entropy_engram::{ConsolidationSnapshot, SemanticPattern, MemorySpace};
//! use chrono::DateTime;
//! use futures::executor::block_on;
//!
//! let network = MemoryNetwork::new(1);
//! let start = |node: &str, peer: &str| {
//!     let (clock, opening) = (SystemClock::new(), Seed::from_os()?); // Never the same twice: nodes with equal seeds lose writes.
//!     let space = MemorySpace::new("default");
//!     let mut gossiper =
//!         ConsolidationGossiper::open(space, node, MemoryStore::new(), opening, GossipConfig::test(), clock.now())?;
//!     gossiper.engine_mut().add_peer(PeerId::from(peer), None);
//!     let (handle, driver) = drive(gossiper, network.join(PeerId::from(node)), clock, Default::default())?;
//!     std::thread::spawn(|| block_on(driver)); // or `tokio::spawn(driver)`, for example
//!     Ok::<_, Box<dyn std::error::Error>>(handle)
//! };
//! let (alice, bob) = (start("alice", "bob")?, start("bob", "alice")?);
//! let consolidated = SemanticPattern {
//!     id: "pattern_1f".to_string(),
//!     embedding: vec![0.5; 768],
//!     source_episodes: vec!["episode_1".to_string()],
//!     strength: 0.8,
//!     schema_confidence: 0.6,
//!     last_consolidated: DateTime::UNIX_EPOCH,
//! };
//! let snapshot = ConsolidationSnapshot { generated_at: DateTime::UNIX_EPOCH, patterns: vec![consolidated] };
//! block_on(async {
//!     let rebuilt = alice.with(move |gossiper, now| gossiper.rebuild_from_snapshot(&snapshot, now)).await??;
//!     assert_eq!(rebuilt.written, 1);
//!     bob.wait_converged([PeerId::from("alice")]).await?;
//!     let read = bob.read("pattern_1f".to_string()).await?;
//!     assert_eq!(read.value().unwrap().origin(), "alice");
//!     Ok::<_, anti_entropy::HandleError>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod announce;
mod announcement;
mod cluster_toml;
mod config;
mod consolidation_gossiper;
mod hints;
mod metrics;
mod own;
mod prepare;
mod rebuild;
mod refusals;
mod reporter;
mod status;
mod versions;

pub use self::announce::AnnouncementOutcome;
pub use self::announcement::{MalformedAnnouncement, RootAnnouncement};
pub use self::cluster_toml::{ClusterToml, GossipSection, IgnoredSetting, MerkleTreeSection};
pub use self::config::GossiperConfig;
pub use self::consolidation_gossiper::ConsolidationGossiper;
pub use self::hints::{BeliefUpdate, UpdateSource};
pub use self::metrics::{EngramMetrics, Sample};
pub use self::prepare::{PreparedSnapshot, SnapshotPreparer};
pub use self::rebuild::{RebuildProgress, Rebuilt, Vanished};
pub use self::reporter::{ReportError, Reported, SnapshotReporter, Task, background};
pub use self::status::{ConflictStatus, ConsolidationStatus, PeerConsolidationStatus};
