//! Who is let in.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{Connection, ConnectionError, Endpoint, Incoming};
use tokio::time::timeout;

use super::connection::certificates;
use super::dial::refusal;
use super::hub::{Hub, REFUSED};
use crate::handshake::{HelloError, Incarnation, Status, answer, read_hello, read_incarnation};
use crate::places::{Place, Places};
use crate::refusal::RefusalReason;

/// Accepts connections until the transport is closed.
pub(super) async fn accept_all(hub: Arc<Hub>, endpoint: Endpoint) {
    let handshakes = Places::new(&hub.config.limits);
    while let Some(incoming) = endpoint.accept().await {
        let remote = incoming.remote_address();
        // When many are on their way, each has to show first that it receives what is sent to its address, so that
        // whoever invents addresses takes no places, neither all nor those of the address.
        if handshakes.are_scarce(remote) && !incoming.remote_address_validated() {
            // It cannot fail, since the address is not validated.
            let _ = incoming.retry();
            continue;
        }
        if let Some(place) = handshakes.take(remote) {
            hub.spawn(serve(Arc::clone(&hub), incoming, remote, place));
        } else {
            incoming.refuse();
            hub.stats.refuse(RefusalReason::TooManyHandshakes, remote, "");
        }
    }
}

async fn serve(hub: Arc<Hub>, incoming: Incoming, remote: SocketAddr, place: Place) {
    if timeout(hub.config.limits.handshake_timeout, admit(&hub, incoming, remote)).await.is_err() {
        hub.stats.refuse(RefusalReason::HandshakeTimeout, remote, "");
    }
    drop(place);
}

async fn admit(hub: &Arc<Hub>, incoming: Incoming, remote: SocketAddr) {
    let connected = match incoming.accept() {
        Ok(connecting) => connecting.await,
        Err(error) => Err(error),
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => return failed(hub, remote, &error),
    };
    if let Err((reason, detail)) = greeted(hub, &connection).await {
        match connection.close_reason() {
            // The hello was not to be had because the handshake failed after all.
            Some(error) if reason == RefusalReason::Malformed => failed(hub, remote, &error),
            _ => hub.stats.refuse(reason, remote, detail),
        }
        connection.close(REFUSED, b"refused");
    }
}

fn failed(hub: &Hub, remote: SocketAddr, error: &ConnectionError) {
    let reason = match error {
        ConnectionError::TimedOut => RefusalReason::HandshakeTimeout,
        error => refusal(error).unwrap_or(RefusalReason::Malformed),
    };
    hub.stats.refuse(reason, remote, error.to_string());
}

/// Reads the hello and answers it. The error is a refusal.
async fn greeted(hub: &Arc<Hub>, connection: &Connection) -> Result<(), (RefusalReason, String)> {
    let malformed = || (RefusalReason::Malformed, String::new());
    let (mut writer, mut reader) = connection.accept_bi().await.map_err(|_| malformed())?;
    let hello = match read_hello(&mut reader).await {
        Ok(hello) => Ok((read_incarnation(&mut reader).await.map_err(|_| malformed())?, hello)),
        Err(HelloError::OtherVersion) => Err(Status::OtherVersion),
        Err(HelloError::Malformed) => return Err(malformed()),
    };
    let mut named = String::new();
    let admitted = hello.and_then(|(incarnation, hello)| {
        named = hello.from.to_string();
        if hello.to != hub.config.name {
            return Err(Status::WrongReceiver);
        }
        if !hub.tls.current().proves(&certificates(connection), &hello.from) {
            return Err(Status::WrongName);
        }
        hub.register(hello.from, connection.clone(), incarnation, false)
    });
    let status = admitted.as_ref().err().copied().unwrap_or(Status::Accepted);
    // If the answer does not arrive, the connection is broken, and whoever uses it notices.
    let _ = answer(&mut writer, status).await;
    if admitted.is_ok() {
        hub.stats.count(|stats| stats.accepted += 1);
        let incarnation: Incarnation = hub.incarnation;
        let _ = writer.write_all(&incarnation).await;
    }
    let _ = writer.finish();
    match status.refusal() {
        None if admitted.is_ok() => Ok(()),
        refusal => {
            // The other side closes the connection when it has the answer; not closing it first, lest the answer be
            // lost. The handshake's limit of time holds for this too.
            let _ = writer.stopped().await;
            connection.close(REFUSED, b"refused");
            refusal.map_or(Ok(()), |reason| Err((reason, named)))
        }
    }
}
