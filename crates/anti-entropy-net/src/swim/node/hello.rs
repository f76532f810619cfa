use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use crate::swim::boot_id::BootId;
use crate::swim::contents::encode_hello;
use crate::swim::header::Kind;
use crate::swim::timers::Timer;

impl Node {
    /// Sends a hello to an address, unless one is under way.
    pub(super) fn say_hello(&mut self, now: Duration, address: SocketAddr) {
        let first = self.sealer.next();
        if !self.leaving && self.hellos.begin(address, first) {
            self.repeat_hello(now, address, first);
        }
    }

    /// Sends the hello again and plans the next time, or gives up.
    pub(super) fn repeat_hello(&mut self, now: Duration, address: SocketAddr, first: u64) {
        let Some(attempts) = self.hellos.attempt(address, first, self.sealer.next()) else { return };
        let contents = encode_hello(&self.config.cluster, self.foca.identity());
        self.send(Kind::Hello, BootId::UNKNOWN, address, &contents);
        self.shared.stats.count(|stats| stats.hellos_sent += 1);
        self.timers.push(now + self.config.timings.hello_retry * (1 << attempts), Timer::Hello { address, first });
    }
}
