use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use anti_entropy_engram::MemorySpace;
use anti_entropy_engram::gossiper::RootAnnouncement;
use anti_entropy_engram::swim::Pings;
use anti_entropy_net::TcpTransport;

use crate::cluster::SpaceReplica;

/// What `SwimTransport` puts behind its messages, and reads there. Neither side waits for an engine's thread.
pub(crate) struct Trailers {
    pub(crate) pings: Mutex<Pings>,
    pub(crate) spaces: Vec<(MemorySpace, SpaceReplica)>,
}

impl Trailers {
    /// In `send`, between `serialize` and `send_to`.
    pub(crate) fn append(&self, payload: &mut Vec<u8>) {
        let mut pings = self.pings.lock().unwrap_or_else(PoisonError::into_inner);
        pings.append(payload, self.spaces.len(), |index| {
            let (space, replica) = &self.spaces[index];
            let held = replica.gossiper.announced().ok()?;
            Some(RootAnnouncement::new(space, held.root, held.generation))
        });
    }

    /// In `recv`, after `recv_from`, with the whole datagram; `deserialize` then reads the message at its front.
    pub(crate) fn receive(&self, datagram: &[u8], from: SocketAddr, transport: &TcpTransport) {
        let received = self.pings.lock().unwrap_or_else(PoisonError::into_inner).receive(datagram, from);
        let Some(peer) = received.peer else { return };
        if let Some(address) = received.new_address
            && let Err(error) = transport.set_peer(peer.clone(), address)
        {
            eprintln!("consolidation: {peer} at {address}: {error}");
        }
        for announcement in received.announcements {
            let announced = |(space, _): &&(MemorySpace, SpaceReplica)| space.channel() == announcement.channel;
            let Some((_, replica)) = self.spaces.iter().find(announced) else { continue };
            let peer = peer.clone();
            // Where the queue is full, the next ping will do.
            let _ = replica.gossiper.post(move |gossiper, now| {
                gossiper.engine_mut().add_peer(peer.clone(), None);
                gossiper.handle_root_announcement(&peer, &announcement.to_bytes(), now);
            });
        }
    }
}
