use std::net::SocketAddr;

use anti_entropy::{HandleError, PeerId};
use anti_entropy_engram::gossiper::ConsolidationGossiper;
use anti_entropy_net::{PeerError, TcpTransport};

use crate::cluster::SpaceReplica;

/// What SWIM tells of members, and asks for. `transport` is the one that was handed to `Spaces::new`, in an `Arc`.
impl SpaceReplica {
    /// A member has joined or come back. After failures the engine would leave it alone for up to a minute; a comparison now
    /// ends that.
    pub(crate) async fn member_up(
        &self,
        transport: &TcpTransport,
        node: &str,
        address: SocketAddr,
        zone: Option<String>,
    ) -> Result<(), MembershipError> {
        let peer = PeerId::from(node);
        transport.set_peer(peer.clone(), address)?;
        let add = move |gossiper: &mut ConsolidationGossiper, now| {
            gossiper.engine_mut().add_peer(peer.clone(), zone);
            gossiper.engine_mut().sync_now(&peer, now);
        };
        Ok(self.gossiper.with(add).await?)
    }

    /// A member has left for good. (One that only fails stays: the engine leaves it alone for a while, by itself.)
    pub(crate) async fn member_left(&self, transport: &TcpTransport, node: &str) -> Result<(), MembershipError> {
        let peer = PeerId::from(node);
        transport.remove_peer(&peer);
        self.gossiper.with(move |gossiper, _| gossiper.engine_mut().remove_peer(&peer)).await?;
        Ok(())
    }
}

/// A member that could not be told of.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MembershipError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Handle(#[from] HandleError),
}
