use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anti_entropy::ConfigError;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;

use super::config::PrometheusConfig;
use super::error::PrometheusError;
use crate::describe::describe_metrics;

/// How often the values that histograms have collected are sorted into their buckets. Reading does so too.
const UPKEEP: Duration = Duration::from_secs(5);

/// The process's recorder, once it is installed. There is one, until the process ends.
static INSTALLED: Mutex<Option<Installed>> = Mutex::new(None);

struct Installed {
    handle: PrometheusHandle,
    _upkeep: Upkeep,
}

/// Keeps the thread of [`keep_up`] running until this is dropped.
struct Upkeep(#[allow(dead_code, reason = "it is there to be dropped")] Sender<()>);

/// Installs the recorder, or finds it installed by an earlier endpoint.
pub(super) fn install(config: &PrometheusConfig) -> Result<PrometheusHandle, PrometheusError> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(installed) = &*installed {
        return Ok(installed.handle.clone());
    }
    let own = Matcher::Prefix("anti_entropy_".into());
    let refused = |_| ConfigError::new("buckets", &config.buckets, "at least one number");
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(own, &config.buckets)
        .map_err(refused)?
        .idle_timeout(MetricKindMask::GAUGE, Some(config.idle_timeout))
        .build_recorder();
    let handle = recorder.handle();
    let upkeep = keep_up(handle.clone()).map_err(PrometheusError::Thread)?;
    ::metrics::set_global_recorder(recorder).map_err(|_| PrometheusError::OtherRecorder)?;
    describe_metrics();
    *installed = Some(Installed { handle: handle.clone(), _upkeep: upkeep });
    Ok(handle)
}

/// Starts a thread that keeps the recorder's memory bounded. The recorder outlives all endpoints, so its thread does
/// too.
fn keep_up(handle: PrometheusHandle) -> std::io::Result<Upkeep> {
    let (keep, ended) = channel::<()>();
    let work = move || {
        while ended.recv_timeout(UPKEEP) == Err(RecvTimeoutError::Timeout) {
            handle.run_upkeep();
        }
    };
    thread::Builder::new().name("anti-entropy-metrics".into()).spawn(work)?;
    Ok(Upkeep(keep))
}
