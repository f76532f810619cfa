//! What is done where a panic comes out of something that the application handed in.

use std::any::Any;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs something that may panic. A panic gives `None`, and ends neither the thread nor what else runs on it.
///
/// What `run` borrows may be half changed then: it is only to be dropped.
pub(super) fn contain<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(drop_payload).ok()
}

/// A panic carries any value, whose drop may panic again.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // There would be no end to trying.
        std::mem::forget(again);
    }
}

/// Something whose drop may panic: that panic goes no further.
///
/// Without this, what is held beside it would be dropped while the panic unwinds, and the process ends if that panics
/// too; so it would if the drop itself happened while another panic unwinds.
pub(super) struct Contained<T>(Option<T>);

const HELD: &str = "it is there until this is dropped";

impl<T> Contained<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(super) fn into_inner(mut self) -> T {
        self.0.take().expect(HELD)
    }
}

impl<T> Deref for Contained<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for Contained<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(HELD)
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            contain(|| drop(value));
        }
    }
}

/// A future that ends where it panics.
pub(super) struct ContainedFuture(Contained<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl ContainedFuture {
    pub(super) fn new(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Contained::new(Box::pin(future)))
    }
}

impl Future for ContainedFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        contain(|| self.0.as_mut().poll(context)).unwrap_or(Poll::Ready(()))
    }
}
