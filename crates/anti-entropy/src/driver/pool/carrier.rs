use std::future::Future;
use std::sync::{Mutex, PoisonError};

use futures::channel::mpsc;
use futures::executor::block_on;
use futures::stream::StreamExt;

use crate::driver::contain::ContainedFuture;

/// Moves the frames of any number of engines on one thread, for applications without an async runtime. A transport that
/// panics ends its own frames and no others.
#[derive(Default)]
pub(super) struct Carrier(Mutex<Option<mpsc::UnboundedSender<ContainedFuture>>>);

impl Carrier {
    /// Moves these too, until their future ends. The thread starts with the first, and ends with the last once this is
    /// dropped.
    pub(super) fn add(&self, frames: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let (sender, added) = mpsc::unbounded::<ContainedFuture>();
            let carry = || block_on(added.for_each_concurrent(None, |frames| frames));
            std::thread::Builder::new().name("anti-entropy-frames".into()).spawn(carry)?;
            *thread = Some(sender);
        }
        if let Some(thread) = &*thread {
            // The thread is there for as long as this is.
            let _ = thread.unbounded_send(ContainedFuture::new(frames));
        }
        Ok(())
    }
}
