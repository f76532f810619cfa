//! Who is a member, and the messages by which nodes tell each other. Nobody is suspected here, and nothing is relayed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::SwimConfig;
use super::error::ClusterError;
use super::transport::{SwimTrailers, SwimTransport};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeInfo {
    pub id: String,
    pub swim_addr: SocketAddr,
    pub api_addr: SocketAddr,
    pub rack: Option<String>,
    pub zone: Option<String>,
}

impl NodeInfo {
    pub fn new(
        id: impl Into<String>,
        swim_addr: SocketAddr,
        api_addr: SocketAddr,
        rack: Option<String>,
        zone: Option<String>,
    ) -> Self {
        Self { id: id.into(), swim_addr, api_addr, rack, zone }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    Alive,
    Suspect,
    Dead,
    Left,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipUpdate {
    pub node: NodeInfo,
    pub state: NodeState,
    pub incarnation: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SwimMessage {
    Ping { from: NodeInfo, incarnation: u64, rumors: Vec<MembershipUpdate> },
    Ack { from: NodeInfo, incarnation: u64, rumors: Vec<MembershipUpdate> },
    PingReq { from: NodeInfo, target: NodeInfo, incarnation: u64, rumors: Vec<MembershipUpdate> },
    Gossip { rumors: Vec<MembershipUpdate> },
}

pub trait SwimObserver: Send + Sync {
    fn record_probe_latency(&self, latency: Duration);
}

pub struct SwimMembership {
    local: NodeInfo,
    config: SwimConfig,
    members: Mutex<BTreeMap<String, NodeInfo>>,
}

impl SwimMembership {
    pub fn new(local: NodeInfo, config: SwimConfig) -> Self {
        Self { local, config, members: Mutex::default() }
    }

    pub const fn local_node(&self) -> &NodeInfo {
        &self.local
    }

    pub const fn config(&self) -> &SwimConfig {
        &self.config
    }

    /// A seed is a member whose name is its address, until a node says its name. There the seed is then taken for dead.
    pub fn upsert_member(&self, node: NodeInfo, _incarnation: u64, _now: Instant) {
        if node.id != self.local.id {
            let mut members = self.members();
            members.retain(|_, member| member.swim_addr != node.swim_addr);
            members.insert(node.id.clone(), node);
        }
    }

    pub fn alive_nodes(&self) -> Vec<NodeInfo> {
        [self.local.clone()].into_iter().chain(self.members().values().cloned()).collect()
    }

    pub fn apply_updates(&self, updates: impl IntoIterator<Item = MembershipUpdate>) {
        for update in updates {
            self.upsert_member(update.node, update.incarnation, Instant::now());
        }
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<String, NodeInfo>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct SwimRuntime {
    membership: Arc<SwimMembership>,
    transport: SwimTransport,
}

impl SwimRuntime {
    // Guide: the last parameter, which is handed to `bind`.
    pub async fn spawn(
        membership: Arc<SwimMembership>,
        bind_addr: SocketAddr,
        _observer: Option<Arc<dyn SwimObserver>>,
        trailers: Option<Arc<dyn SwimTrailers>>,
    ) -> Result<SwimHandle, ClusterError> {
        let transport = SwimTransport::bind(bind_addr, trailers).await?;
        let runtime = Arc::new(Self { membership, transport });
        let (shutdown_tx, shutdown_rx) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(Arc::clone(&runtime).probe_loop(shutdown_rx.clone())),
            tokio::spawn(runtime.recv_loop(shutdown_rx)),
        ];
        Ok(SwimHandle { shutdown_tx, tasks })
    }

    async fn probe_loop(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut ticker = tokio::time::interval(self.membership.config().ping_interval);
        loop {
            tokio::select! {
                _ = shutdown.changed() => break,
                _ = ticker.tick() => {}
            }
            let members: Vec<NodeInfo> = self.membership.members().values().cloned().collect();
            for member in members {
                let (from, rumors) = (self.membership.local_node().clone(), Vec::new());
                let ping = SwimMessage::Ping { from, incarnation: 0, rumors };
                let _ = self.transport.send(&ping, member.swim_addr).await;
            }
        }
    }

    async fn recv_loop(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        loop {
            let received = tokio::select! {
                _ = shutdown.changed() => break,
                received = self.transport.recv() => received,
            };
            match received {
                Ok((SwimMessage::Ping { from, incarnation, rumors }, _)) => {
                    self.membership.apply_updates(rumors);
                    self.membership.upsert_member(from.clone(), incarnation, Instant::now());
                    let (local, rumors) = (self.membership.local_node().clone(), Vec::new());
                    let ack = SwimMessage::Ack { from: local, incarnation: 0, rumors };
                    let _ = self.transport.send(&ack, from.swim_addr).await;
                }
                Ok((SwimMessage::Ack { from, incarnation, rumors }, _)) => {
                    self.membership.apply_updates(rumors);
                    self.membership.upsert_member(from, incarnation, Instant::now());
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}

pub struct SwimHandle {
    shutdown_tx: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl SwimHandle {
    pub fn request_shutdown(&self) {
        let _ = self.shutdown_tx.send(true);
    }

    pub async fn wait(self) {
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
