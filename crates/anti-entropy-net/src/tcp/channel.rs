//! A TCP connection, inside TLS or not.

use std::io;

use anti_entropy::PeerId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::refusal::ConnectionRefusalReason;
#[cfg(feature = "tls")]
use crate::tls::{TlsHandle, reason_of};

/// A connection of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// How connections are protected.
#[derive(Debug)]
pub(crate) enum Security {
    Plain,
    #[cfg(feature = "tls")]
    Tls(TlsHandle),
}

/// A connection, and the certificates that the other side has proven to own.
pub(crate) struct Channel {
    pub(crate) stream: Box<dyn Stream>,
    #[cfg(feature = "tls")]
    certificates: Vec<rustls::pki_types::CertificateDer<'static>>,
}

impl Channel {
    fn plain(stream: TcpStream) -> Self {
        Self {
            stream: Box::new(stream),
            #[cfg(feature = "tls")]
            certificates: Vec::new(),
        }
    }
}

impl Security {
    pub(crate) fn authenticates(&self) -> bool {
        !matches!(self, Self::Plain)
    }

    /// Secures a connection that the other side has opened.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Channel> {
        match self {
            Self::Plain => Ok(Channel::plain(stream)),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::clone(&tls.current().server));
                let stream = acceptor.accept(stream).await?;
                let certificates = proven(stream.get_ref().1)?;
                Ok(Channel { stream: Box::new(stream), certificates })
            }
        }
    }

    /// Secures a connection that this side has opened.
    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<Channel> {
        match self {
            Self::Plain => Ok(Channel::plain(stream)),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::clone(&tls.current().client));
                let stream = connector.connect(crate::tls::no_name(), stream).await?;
                let certificates = proven(stream.get_ref().1)?;
                Ok(Channel { stream: Box::new(stream), certificates })
            }
        }
    }

    /// Whether the other side may have this name. Without TLS any name will do.
    #[cfg_attr(not(feature = "tls"), allow(unused_variables, clippy::unused_self))]
    pub(crate) fn proves(&self, channel: &Channel, name: &PeerId) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.current().proves(&channel.certificates, name),
        }
    }

    /// Waits until the other side's certificate is no longer trusted.
    #[cfg(feature = "tls")]
    pub(crate) fn distrusted<'s>(&'s self, channel: &Channel, name: &PeerId) -> impl Future<Output = ()> + use<'s> {
        let certificates = channel.certificates.clone();
        let name = name.clone();
        async move {
            match self {
                Self::Plain => std::future::pending().await,
                Self::Tls(tls) => tls.distrusted(&certificates, &name).await,
            }
        }
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn distrusted(&self, _: &Channel, _: &PeerId) -> impl Future<Output = ()> + use<> {
        std::future::pending()
    }
}

/// The reason, if TLS refused the connection.
pub(crate) fn refusal_reason(error: &io::Error) -> Option<ConnectionRefusalReason> {
    #[cfg(feature = "tls")]
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Some(reason_of(error));
    }
    let _ = error;
    None
}

#[cfg(feature = "tls")]
fn proven(connection: &rustls::CommonState) -> io::Result<Vec<rustls::pki_types::CertificateDer<'static>>> {
    if connection.alpn_protocol() != Some(crate::tls::ALPN) {
        return Err(io::Error::other(rustls::Error::NoApplicationProtocol));
    }
    Ok(connection.peer_certificates().unwrap_or_default().to_vec())
}
