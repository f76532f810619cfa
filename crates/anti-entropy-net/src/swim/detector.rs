//! The failure detector `foca`: its settings, and its source of random numbers.

use std::convert::Infallible;
use std::num::NonZeroUsize;

use foca::PeriodicParams;

use super::announce::ANNOUNCEMENT_BYTES;
use super::config::SwimConfig;
use super::header::{HEARD_BYTES, MAX_CONTENTS_BYTES};

/// The settings of foca. Its packets leave room for the header, the tag, and at least one announcement.
pub(super) fn foca_config(config: &SwimConfig) -> foca::Config {
    let (timings, limits) = (&config.timings, &config.limits);
    let one = |frequency| Some(PeriodicParams { frequency, num_members: NonZeroUsize::MIN });
    foca::Config {
        probe_period: timings.probe_interval,
        probe_rtt: timings.probe_timeout,
        num_indirect_probes: limits.indirect_probes,
        max_transmissions: limits.news_repeats,
        suspect_to_down_after: timings.suspect_for,
        remove_down_after: Some(timings.forget_down_after),
        max_packet_size: NonZeroUsize::new(MAX_CONTENTS_BYTES - HEARD_BYTES - 1 - ANNOUNCEMENT_BYTES)
            .expect("it is a constant"),
        notify_down_members: true,
        periodic_announce: one(timings.exchange_interval),
        periodic_announce_to_down_members: one(timings.look_for_down_interval),
        periodic_gossip: Some(PeriodicParams {
            frequency: timings.gossip_interval,
            num_members: limits.indirect_probes,
        }),
    }
}

/// Foca's source of random numbers.
pub(super) struct Random(pub(super) fastrand::Rng);

impl rand_core::TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.u32(..))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.u64(..))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}
