use std::format;
use std::future::Future;
use std::time::Duration;
use std::vec::Vec;

use futures::future::BoxFuture;

use super::ledger::{Fate, Key, Ledger, key_of};
use super::{PATIENCE, law, within};
use crate::Violation;
use anti_entropy::transport::SendError;
use anti_entropy::{PeerId, Transport};

/// How often a frame is sent again until it arrives: connecting takes its time.
const RESENDINGS: u32 = 20;

/// One direction between the two transports, and all that was sent that way.
pub(super) struct Link<'a> {
    pub(super) from: &'a dyn Transport,
    pub(super) from_name: PeerId,
    pub(super) to: &'a dyn Transport,
    to_name: PeerId,
    /// The sender's limit as it was when the check began.
    pub(super) max_frame_bytes: usize,
    ledger: Ledger,
    sleep: &'a dyn Fn(Duration) -> BoxFuture<'static, ()>,
}

impl<'a> Link<'a> {
    pub(super) fn new(
        (from, from_name): (&'a dyn Transport, PeerId),
        (to, to_name): (&'a dyn Transport, PeerId),
        sleep: &'a dyn Fn(Duration) -> BoxFuture<'static, ()>,
    ) -> Self {
        let max_frame_bytes = from.max_frame_bytes();
        Self { from, from_name, to, to_name, max_frame_bytes, ledger: Ledger::default(), sleep }
    }

    pub(super) async fn within<T>(&self, limit: Duration, pending: impl Future<Output = T> + Unpin) -> Option<T> {
        within(self.sleep, limit, pending).await
    }

    /// Sends a fresh frame of this length; a send that does not complete is a violation.
    pub(super) async fn send(&mut self, bytes: usize) -> Result<(Key, Result<(), SendError>), Violation> {
        let frame = self.ledger.make(bytes);
        let key = key_of(&frame);
        let Some(sent) = self.within(PATIENCE, self.from.send(&self.to_name, frame)).await else {
            let detail = format!("sending {bytes} bytes to {} did not complete", self.to_name);
            return Err(Violation::new(law::SEND_NEVER_WAITS, detail));
        };
        self.ledger.note(key, if sent.is_ok() { Fate::Accepted } else { Fate::Refused });
        Ok((key, sent))
    }

    /// Sends frames of this length until one arrives. What else arrives meanwhile is checked as well.
    pub(super) async fn deliver(&mut self, bytes: usize) -> Result<(), Violation> {
        let mut last = Ok(());
        for _ in 0..RESENDINGS {
            let (sent_key, sent) = self.send(bytes).await?;
            // Receiving goes on after an error too: it may be that the queues are full of what nobody took.
            let wait = if sent.is_ok() { PATIENCE / RESENDINGS } else { PATIENCE / RESENDINGS / 4 };
            while let Some(received) = self.within(wait, self.to.receive()).await {
                if self.check(received, law::DELIVERY)? == sent_key {
                    return Ok(());
                }
            }
            last = sent;
        }
        let detail = format!("no frame of {bytes} bytes arrived in {RESENDINGS} attempts; the last send gave {last:?}");
        Err(Violation::new(law::DELIVERY, detail))
    }

    /// Checks what was received, and says which frame it is. The end, which `receive` must not return while the
    /// transport is open, is a violation of the law at hand.
    pub(super) fn check(&self, received: Option<(PeerId, Vec<u8>)>, law: &'static str) -> Result<Key, Violation> {
        let Some((from, frame)) = received else {
            return Err(Violation::new(law, "receive returned None although the transport is open"));
        };
        let (bytes, key) = (frame.len(), key_of(&frame));
        let (law, detail) = match self.ledger.fate(key) {
            None => {
                (law::WHOLE_FRAMES, format!("{bytes} bytes arrived at {} that were never sent to it", self.to_name))
            }
            Some(Fate::Refused) => {
                (law::ERROR_MEANS_LOST, format!("a frame of {bytes} bytes arrived although sending it gave an error"))
            }
            Some(Fate::Accepted) if from != self.from_name => {
                (law::SENDER_NAME, format!("a frame from {} arrived under the name {from}", self.from_name))
            }
            Some(Fate::Accepted) => return Ok(key),
        };
        Err(Violation::new(law, detail))
    }
}
