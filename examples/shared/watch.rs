//! Showing how many roots there are while something is waited for.

use std::future::Future;
use std::time::{Duration, Instant};

use super::terminal::Terminal;

/// Waits, and looks ten times a second how many different roots there are.
pub(crate) async fn watch<T, E, R>(
    terminal: &mut Terminal,
    waited_for: impl Future<Output = Result<T, E>>,
    distinct_roots: impl Fn() -> R,
) -> Result<T, E>
where
    R: Future<Output = Result<usize, E>>,
{
    let mut waited_for = std::pin::pin!(waited_for);
    let started = Instant::now();
    loop {
        tokio::select! {
            done = &mut waited_for => {
                terminal.end_progress();
                return done;
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                let (seconds, roots) = (started.elapsed().as_secs_f64(), distinct_roots().await?);
                terminal.progress(&format!("{seconds:.1} s, {roots} different roots"));
            }
        }
    }
}
