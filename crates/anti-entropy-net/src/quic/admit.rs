//! Accepting connections: the handshake, up to the answer to the hello.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{Connection, ConnectionError, Endpoint, Incoming, SendStream};
use tokio::time::{Instant, timeout};

use super::hub::Hub;
use super::live::{Opener, REFUSED, certificates};
use super::refusal::refusal_reason;
use crate::handshake::{HelloError, Incarnation, Status, answer, read_hello, read_incarnation};
use crate::handshake_slots::{HandshakeSlot, HandshakeSlots};
use crate::refusal::ConnectionRefusalReason;

/// Accepts connections until the transport is closed.
pub(super) async fn accept_all(hub: Arc<Hub>, endpoint: Endpoint) {
    let handshakes = HandshakeSlots::new(&hub.config.limits);
    while let Some(incoming) = endpoint.accept().await {
        let remote = incoming.remote_address();
        // When slots are scarce, the other side first has to prove that it receives packets at its address. So forged
        // addresses take no slots, neither all of them nor those of the address.
        if handshakes.are_scarce(remote) && !incoming.remote_address_validated() {
            // `retry` only fails if the address is validated already.
            let _ = incoming.retry();
            continue;
        }
        if let Some(place) = handshakes.take(remote) {
            hub.spawn(serve(Arc::clone(&hub), incoming, remote, place));
        } else {
            incoming.refuse();
            hub.stats.refuse(ConnectionRefusalReason::TooManyHandshakes, remote, "");
        }
    }
}

async fn serve(hub: Arc<Hub>, incoming: Incoming, remote: SocketAddr, place: HandshakeSlot) {
    let (start, limit) = (Instant::now(), hub.config.limits.handshake_timeout);
    match timeout(limit, admit(&hub, incoming, remote)).await {
        Ok(None) => {}
        Ok(Some(TurnedAway { connection, writer })) => {
            // The other side closes the connection when it has the answer. If this side closed it first, the answer
            // might be lost. The handshake timeout limits this wait too.
            let _ = timeout(limit.saturating_sub(start.elapsed()), writer.stopped()).await;
            connection.close(REFUSED, b"refused");
        }
        Err(_) => hub.stats.refuse(ConnectionRefusalReason::HandshakeTimeout, remote, ""),
    }
    drop(place);
}

/// A connection that was refused. The answer is on its way, and the refusal is counted.
struct TurnedAway {
    connection: Connection,
    writer: SendStream,
}

async fn admit(hub: &Arc<Hub>, incoming: Incoming, remote: SocketAddr) -> Option<TurnedAway> {
    let connected = match incoming.accept() {
        Ok(connecting) => connecting.await,
        Err(error) => Err(error),
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            failed(hub, remote, &error);
            return None;
        }
    };
    if let Ok(turned_away) = greeted(hub, &connection, remote).await {
        return turned_away.map(|writer| TurnedAway { connection, writer });
    }
    match connection.close_reason() {
        // There was no hello because the handshake failed after all.
        Some(error) => failed(hub, remote, &error),
        None => hub.stats.refuse(ConnectionRefusalReason::Malformed, remote, ""),
    }
    connection.close(REFUSED, b"refused");
    None
}

fn failed(hub: &Hub, remote: SocketAddr, error: &ConnectionError) {
    let reason = match error {
        ConnectionError::TimedOut => ConnectionRefusalReason::HandshakeTimeout,
        error => refusal_reason(error).unwrap_or(ConnectionRefusalReason::Malformed),
    };
    hub.stats.refuse(reason, remote, error.to_string());
}

/// The other side sent something else than a hello.
struct Malformed;

/// Reads the hello and answers it. If the connection is refused, counts that and returns the stream of the answer.
async fn greeted(hub: &Arc<Hub>, connection: &Connection, remote: SocketAddr) -> Result<Option<SendStream>, Malformed> {
    let (mut writer, mut reader) = connection.accept_bi().await.map_err(|_| Malformed)?;
    let hello = match read_hello(&mut reader).await {
        Ok(hello) => Ok((read_incarnation(&mut reader).await.map_err(|_| Malformed)?, hello)),
        Err(HelloError::OtherVersion) => Err(Status::OtherVersion),
        Err(HelloError::Malformed) => return Err(Malformed),
    };
    let mut detail = String::new();
    let admitted = hello.and_then(|(incarnation, hello)| {
        if hello.cluster != hub.config.cluster {
            detail = hub.config.cluster.refuses(&hello.cluster);
            return Err(Status::OtherCluster);
        }
        detail = hello.from.to_string();
        if hello.to != hub.config.name {
            return Err(Status::WrongReceiver);
        }
        if !hub.tls.current().proves(&certificates(connection), &hello.from) {
            return Err(Status::WrongName);
        }
        hub.register(hello.from, connection.clone(), incarnation, Opener::Peer)
    });
    let status = admitted.as_ref().err().copied().unwrap_or(Status::Accepted);
    if let Some(reason) = status.refusal() {
        hub.stats.refuse(reason, remote, detail);
    }
    // If the answer cannot be sent, the connection is broken, and the task that uses it notices.
    let _ = answer(&mut writer, status, &hub.config.cluster).await;
    if admitted.is_ok() {
        hub.stats.count(|stats| stats.accepted += 1);
        let incarnation: Incarnation = hub.incarnation;
        let _ = writer.write_all(&incarnation).await;
    }
    let _ = writer.finish();
    Ok(admitted.is_err().then_some(writer))
}
