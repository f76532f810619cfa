use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A task that is aborted when this is dropped.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    /// Starts a task on a runtime, from any thread.
    pub(crate) fn spawn(runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(runtime.spawn(work))
    }

    /// Waits until the task has ended and freed everything.
    pub(crate) async fn ended(mut self) {
        // An error means that it was aborted or panicked: it has ended all the same.
        let _ = (&mut self.0).await;
    }

    /// Ends the task at its next await, and waits for that.
    pub(crate) async fn stop(self) {
        self.0.abort();
        self.ended().await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
