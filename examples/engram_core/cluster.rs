//! `engram_core::cluster`: membership, as its messages show it, and the transport of these messages.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// No datagram is longer, and none that is longer is received whole.
pub(crate) const DEFAULT_MAX_PACKET_SIZE: usize = 1_400;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct NodeInfo {
    pub(crate) id: String,
    pub(crate) swim_addr: SocketAddr,
    pub(crate) api_addr: SocketAddr,
    pub(crate) rack: Option<String>,
    pub(crate) zone: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeState {
    Alive,
    Suspect,
    Dead,
    Left,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembershipUpdate {
    pub(crate) node: NodeInfo,
    pub(crate) state: NodeState,
    pub(crate) incarnation: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SwimMessage {
    Ping { from: NodeInfo, incarnation: u64, rumors: Vec<MembershipUpdate> },
    Ack { from: NodeInfo, incarnation: u64, rumors: Vec<MembershipUpdate> },
    PingReq { from: NodeInfo, target: NodeInfo, incarnation: u64, rumors: Vec<MembershipUpdate> },
    Gossip { rumors: Vec<MembershipUpdate> },
}

/// Which nodes a space is placed on.
#[derive(Clone, Debug)]
pub(crate) struct SpaceAssignment {
    pub(crate) primary: NodeInfo,
    pub(crate) replicas: Vec<NodeInfo>,
}
