//! The task that sends to one peer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{Connection, ConnectionError};
use tokio::time::{Instant, sleep, timeout};

use super::endpoint;
use super::hub::Hub;
use super::live::{Live, Opener, REFUSED, certificates};
use super::refusal::refusal_reason;
use super::streams::{FrameStream, WriteEnd, Writer, in_time};
use crate::address::in_turn;
use crate::backoff::Backoff;
use crate::handshake::{Answer, Hello, Incarnation, greet_as, read_incarnation};
use crate::peers::Destination;
use crate::refusal::ConnectionRefusalReason;
use crate::send_queue::Lane;

/// A server name that quinn asks for and does not send. Names are proven after the handshake.
const SERVER_NAME: &str = "anti-entropy";

/// All that the task which sends to one peer needs.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) to: Destination,
    pub(super) hub: Arc<Hub>,
}

/// How sending over a connection ended.
enum End {
    /// It was given up in good order, because it was idle or a newer one replaced it.
    Retired,
    /// The peer ended the connection, or it broke.
    Lost,
}

struct Lost;

impl Link {
    /// Connects when there is a frame to send and no connection, sends frames, and connects again. It never ends by
    /// itself.
    pub(super) async fn run(self) {
        let limits = &self.hub.config.limits;
        let mut backoff = Backoff::new(limits.reconnect_min, limits.reconnect_max, self.to.seed);
        loop {
            self.to.queue.filled().await;
            let live = self.connection(&mut backoff).await;
            let since = Instant::now();
            match self.carry(&live).await {
                End::Retired => backoff.reset(),
                End::Lost => {
                    backoff.connected_for(since.elapsed());
                    self.pause(&mut backoff).await;
                }
            }
        }
    }

    /// Returns the connection to the peer, and tries to connect until there is one. Frames are queued during an
    /// attempt, and refused between two attempts.
    async fn connection(&self, backoff: &mut Backoff) -> Arc<Live> {
        loop {
            tokio::select! {
                biased;
                live = self.hub.wait_for(&self.to.peer) => return live,
                dialled = timeout(self.hub.config.limits.handshake_timeout, self.dial()) => {
                    if let Ok(Ok(live)) = dialled {
                        return live;
                    }
                }
            }
            self.hub.stats.count(|stats| stats.connect_failures += 1);
            self.pause(backoff).await;
        }
    }

    /// Drops the frames that wait, since they would be stale after the pause. Then waits for the next attempt, or until
    /// the peer has connected.
    async fn pause(&self, backoff: &mut Backoff) {
        let dropped = self.to.queue.shut();
        self.hub.stats.count(|stats| stats.dropped.not_connected += dropped);
        tokio::select! {
            () = sleep(backoff.delay()) => {}
            _ = self.hub.wait_for(&self.to.peer) => {}
        }
        self.to.queue.open();
    }

    /// Tries the addresses of the peer in order.
    async fn dial(&self) -> io::Result<Arc<Live>> {
        let (start, dialling) = (Instant::now(), self.hub.dialling(&self.to.peer));
        let addresses = self.to.address.resolve().await?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (address, share) in in_turn(addresses, start, self.hub.config.limits.handshake_timeout) {
            match timeout(share, self.attempt(address)).await {
                Ok(Ok(Some(live))) => return Ok(live),
                Ok(Ok(None)) => {
                    // The peer's own attempt prevails, and must not be turned away.
                    drop(dialling);
                    return Ok(self.hub.wait_for(&self.to.peer).await);
                }
                Ok(Err(error)) => last = error,
                Err(elapsed) => last = elapsed.into(),
            }
        }
        Err(last)
    }

    /// Connects to one address. Returns `None` if the peer opens a connection as well.
    async fn attempt(&self, address: SocketAddr) -> io::Result<Option<Arc<Live>>> {
        let hub = &self.hub;
        let endpoint = hub.endpoint().ok_or(io::ErrorKind::NotConnected)?;
        let client = endpoint::client(&hub.tls.current(), &hub.config.limits).map_err(io::Error::other)?;
        let connecting = endpoint.connect_with(client, address, SERVER_NAME).map_err(io::Error::other)?;
        drop(endpoint);
        let connection = connecting.await.map_err(|error| self.failed(address, error))?;
        if !hub.tls.current().proves(&certificates(&connection), &self.to.peer) {
            hub.stats.refuse(ConnectionRefusalReason::WrongName, address, self.to.peer.as_str());
            connection.close(REFUSED, b"refused");
            return Err(io::Error::other("the certificate is not the peer's"));
        }
        match self.greet(&connection).await {
            Ok((Answer::Accepted, incarnation)) => {
                let registered = hub.register(self.to.peer.clone(), connection, incarnation, Opener::ThisNode);
                let live = registered.map_err(|status| io::Error::other(format!("{status:?}")))?;
                hub.stats.count(|stats| stats.connected += 1);
                Ok(Some(live))
            }
            Ok((Answer::Crossed, _)) => Ok(None),
            Ok((Answer::OtherCluster(theirs), _)) => {
                let detail = hub.config.cluster.refuses(&theirs);
                hub.stats.refuse(ConnectionRefusalReason::OtherCluster, address, detail);
                Err(io::Error::other("the peer is of another cluster"))
            }
            Ok((Answer::Refused(status), _)) => Err(io::Error::other(format!("the peer refused with status {status}"))),
            Err(error) => Err(match connection.close_reason() {
                Some(reason) => self.failed(address, reason),
                None => error,
            }),
        }
    }

    /// The answer of the peer, and its incarnation if it accepts.
    async fn greet(&self, connection: &Connection) -> io::Result<(Answer, Incarnation)> {
        let config = &self.hub.config;
        let hello = Hello { cluster: config.cluster.clone(), from: config.name.clone(), to: self.to.peer.clone() };
        let (mut writer, mut reader) = connection.open_bi().await?;
        let answer = greet_as((&mut writer, &mut reader), &hello, self.hub.incarnation).await?;
        let accepted = answer == Answer::Accepted;
        let incarnation = if accepted { read_incarnation(&mut reader).await? } else { Incarnation::default() };
        Ok((answer, incarnation))
    }

    fn failed(&self, address: SocketAddr, error: ConnectionError) -> io::Error {
        if let Some(reason) = refusal_reason(&error) {
            self.hub.stats.refuse(reason, address, error.to_string());
        }
        error.into()
    }

    async fn carry(&self, live: &Live) -> End {
        let mut writer = live.writer.lock().await;
        let Writer { short, long } = &mut *writer;
        match tokio::try_join!(self.carry_lane(live, short, Lane::Short), self.carry_lane(live, long, Lane::Long)) {
            Ok(_) => End::Retired,
            Err(Lost) => End::Lost,
        }
    }

    async fn carry_lane(&self, live: &Live, stream: &mut FrameStream, lane: Lane) -> Result<(), Lost> {
        while let Some(frame) = self.next(live, lane).await? {
            let written = stream.write(&live.connection, &frame);
            let written = in_time(self.hub.config.limits.write_timeout, written).await;
            self.written(live, &frame, &written)?;
        }
        Ok(())
    }

    /// The next frame of a lane. `None` if the connection is being given up.
    async fn next(&self, live: &Live, lane: Lane) -> Result<Option<Vec<u8>>, Lost> {
        tokio::select! {
            biased;
            _ = live.connection.closed() => Err(Lost),
            () = live.retired() => Ok(None),
            frame = self.to.queue.pop(lane) => Ok(Some(frame)),
        }
    }

    fn written(&self, live: &Live, frame: &[u8], written: &Result<(), WriteEnd>) -> Result<(), Lost> {
        live.touch();
        self.hub.stats.count(|stats| match written {
            Ok(()) => {
                stats.frames_sent += 1;
                stats.bytes_sent += frame.len() as u64;
            }
            Err(end) => {
                stats.dropped.not_connected += 1;
                stats.write_timeouts += u64::from(*end == WriteEnd::TimedOut);
            }
        });
        if written.is_err() {
            live.connection.close(REFUSED, b"not taken in");
            return Err(Lost);
        }
        Ok(())
    }
}
