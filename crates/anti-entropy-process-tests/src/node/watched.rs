//! A transport around a transport, which lets the replica be looked at after each frame that comes and before each that
//! goes: nobody hears of a state that was not told before.

use std::sync::{Arc, OnceLock};

use anti_entropy::driver::{Handle, SendError, Transport};
use anti_entropy::gossip::PeerId;
use async_trait::async_trait;
use futures::FutureExt;

use super::Item;
use super::driven::Driven;
use crate::wire::Broken;

/// What looks, once there is an engine to look at.
#[derive(Clone, Default)]
pub(super) struct Watcher(Arc<OnceLock<Handle<Item, Driven>>>);

pub(super) struct Watched<T> {
    inner: T,
    watcher: Watcher,
    /// Whether frames that come are dropped, as a bug.
    deaf: bool,
}

impl<T> Watched<T> {
    pub(super) fn new(inner: T, broken: Option<&Broken>) -> (Self, Watcher) {
        let watcher = Watcher::default();
        (Self { inner, watcher: watcher.clone(), deaf: broken == Some(&Broken::HearsNobody) }, watcher)
    }
}

impl Watcher {
    /// Looks by this handle from now on.
    pub(super) fn look_through(&self, handle: Handle<Item, Driven>) {
        self.0.get_or_init(|| handle);
    }
}

#[async_trait]
impl<T: Transport> Transport for Watched<T> {
    async fn send(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        if let Some(handle) = self.watcher.0.get() {
            let bytes = frame.len();
            // If the engine has stopped, this is the last that it says.
            let _ = handle
                .with(move |driven, _| {
                    driven.frame_bytes = driven.frame_bytes.max(bytes);
                    driven.look();
                })
                .await;
        }
        self.inner.send(to, frame).await
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        if let Some(handle) = self.watcher.0.get() {
            // Handed to the engine behind the frame before; nobody waits for it, so that frames queue as they would.
            let _ = handle.with(|driven, _| driven.look()).now_or_never();
        }
        loop {
            let received = self.inner.receive().await;
            if !self.deaf || received.is_none() {
                return received;
            }
        }
    }

    fn max_frame_bytes(&self) -> usize {
        self.inner.max_frame_bytes()
    }

    fn authenticated(&self) -> bool {
        self.inner.authenticated()
    }

    fn local_name(&self) -> Option<PeerId> {
        self.inner.local_name()
    }
}
