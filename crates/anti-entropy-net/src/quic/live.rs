//! The state of a connection after its handshake.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anti_entropy::PeerId;
use quinn::{Connection, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::streams::Writer;
use crate::handshake::Incarnation;

// The codes with which connections are closed. The other side treats them all alike; they help a person who looks at
// the packets.
pub(super) const CLOSED: VarInt = VarInt::from_u32(0);
pub(super) const IDLE: VarInt = VarInt::from_u32(1);
pub(super) const SUPERSEDED: VarInt = VarInt::from_u32(2);
pub(super) const REMOVED: VarInt = VarInt::from_u32(3);
pub(super) const REFUSED: VarInt = VarInt::from_u32(4);

/// Which side opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opener {
    ThisNode,
    Peer,
}

/// A connection after its handshake.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) peer: PeerId,
    pub(super) connection: Connection,
    /// Of the other side.
    pub(super) incarnation: Incarnation,
    pub(super) opener: Opener,
    pub(super) writer: tokio::sync::Mutex<Writer>,
    retired: watch::Sender<bool>,
    last_frame: Mutex<Instant>,
}

impl Live {
    pub(super) fn new(peer: PeerId, connection: Connection, incarnation: Incarnation, opener: Opener) -> Self {
        Self {
            peer,
            connection,
            incarnation,
            opener,
            writer: tokio::sync::Mutex::default(),
            retired: watch::Sender::new(false),
            last_frame: Mutex::new(Instant::now()),
        }
    }

    /// Whether frames may be sent over it.
    pub(super) fn is_usable(&self) -> bool {
        !*self.retired.borrow() && self.connection.close_reason().is_none()
    }

    /// Begins to give the connection up: frames that are being written are finished, no others are sent, and once the
    /// other side has done the same and everything has arrived, the connection is closed.
    pub(super) fn retire(&self) {
        self.retired.send_replace(true);
    }

    /// Waits until the connection is being given up.
    pub(super) async fn retired(&self) {
        // It cannot fail, since `self` has the sender.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }

    /// Notes that a frame came or went.
    pub(super) fn touch(&self) {
        *self.last_frame.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until no frame has come or gone for this long.
    pub(super) async fn idle(&self, after: Duration) {
        loop {
            let last = *self.last_frame.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(end) = last.checked_add(after) else { return std::future::pending().await };
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }

    /// Waits until the connection is being given up, then ends this side's streams. When it completes, all that was
    /// written has arrived.
    pub(super) async fn leave(&self) -> io::Result<()> {
        self.retired().await;
        self.writer.lock().await.finish(&self.connection).await
    }

    pub(super) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        certificates(&self.connection)
    }
}

/// The certificates that the other side has shown in the handshake.
pub(super) fn certificates(connection: &Connection) -> Vec<CertificateDer<'static>> {
    connection.peer_identity().and_then(|any| any.downcast().ok()).map(|found| *found).unwrap_or_default()
}
