//! The part of HTTP/1.1 that serving one page needs: a request, an answer, and the end of the connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::config::PrometheusConfig;

/// How long to wait after the operating system could not accept, as it cannot without a free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much of a request that is too long is still read, so that its sender reads the answer and not an error.
const DISCARDED_BYTES: u64 = 64 << 10;

/// Answers connections until it is dropped; then they end too.
pub(super) async fn serve(listener: TcpListener, config: Arc<PrometheusConfig>, recorded: PrometheusHandle) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < config.max_connections => {
                    let answered = answer(stream, Arc::clone(&config), recorded.clone());
                    connections.spawn(timeout(config.request_timeout, answered));
                }
                Ok(_) => {}
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            // Frees the connections that have ended.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(mut stream: TcpStream, config: Arc<PrometheusConfig>, recorded: PrometheusHandle) -> io::Result<()> {
    let (response, is_read) = match read_head(&mut stream, config.max_request_bytes).await? {
        Some(head) => (respond(&head, &config.hosts, || recorded.render()), true),
        None => (page("431 Request Header Fields Too Large", "", "the request is too long\n", true), false),
    };
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    if !is_read {
        tokio::io::copy(&mut stream.take(DISCARDED_BYTES), &mut tokio::io::sink()).await?;
    }
    Ok(())
}

/// Reads a request up to the end of its headers; `None` if that does not come within so many bytes.
async fn read_head(stream: &mut (impl AsyncRead + Unpin), max_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut limited = stream.take(max_bytes as u64);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if limited.read_buf(&mut head).await? == 0 {
            // A request that ended early is answered too: that it is none.
            return Ok((head.len() < max_bytes).then_some(head));
        }
    }
    Ok(Some(head))
}

/// The answer to a request.
fn respond(head: &[u8], hosts: &[String], render: impl FnOnce() -> String) -> String {
    let Some(Request { method, path, host }) = Request::parse(head) else {
        return page("400 Bad Request", "", "this is no HTTP request; GET /metrics\n", true);
    };
    if !host.is_none_or(|host| is_served(host, hosts)) {
        let body = "this host is not served here; ask by IP address, or add its name to hosts in the configuration\n";
        return page("421 Misdirected Request", "", body, method != "HEAD");
    }
    if path.split('?').next() != Some("/metrics") {
        return page("404 Not Found", "", "the metrics are at /metrics\n", method != "HEAD");
    }
    match method {
        "GET" | "HEAD" => page("200 OK", "", &render(), method == "GET"),
        _ => page("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "the metrics are only read\n", true),
    }
}

/// What matters of a request.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    /// Every browser sends it.
    host: Option<&'a str>,
}

impl<'a> Request<'a> {
    fn parse(head: &'a [u8]) -> Option<Self> {
        let end = head.windows(4).position(|end| end == b"\r\n\r\n")?;
        let mut lines = str::from_utf8(&head[..end]).ok()?.lines();
        let mut words = lines.next()?.split(' ');
        let (method, path, version) = (words.next()?, words.next()?, words.next()?);
        let is_http = words.next().is_none() && version.starts_with("HTTP/1.") && path.starts_with('/');
        let headers = lines.filter_map(|line| line.split_once(':'));
        let mut hosts = headers.filter(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, host)| host.trim());
        let host = hosts.next();
        (is_http && hosts.next().is_none()).then_some(Self { method, path, host })
    }
}

/// Whether the value of the header `Host` means this endpoint: an IP address, which no stranger's name can stand in for,
/// `localhost`, or one of the configured names.
fn is_served(host: &str, hosts: &[String]) -> bool {
    if host.parse::<SocketAddr>().is_ok() || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return true;
    }
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let known = name.eq_ignore_ascii_case("localhost") || hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
    known && port.parse::<u16>().is_ok()
}

fn page(status: &str, header: &str, body: &str, with_body: bool) -> String {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {length}\r\n\
         {header}Connection: close\r\n\r\n"
    );
    head + if with_body { body } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &[u8]) -> String {
        let response = respond(request, &["Node-1.example".into()], || "page".into());
        response["HTTP/1.1 ".len()..].split(' ').next().unwrap().to_string()
    }

    #[test]
    fn only_a_request_for_the_metrics_gets_them() {
        let answered: [(&[u8], &str); 12] = [
            (b"GET /metrics HTTP/1.1\r\nHost: node-1.example\r\n\r\n", "200"),
            (b"GET /metrics?name=x HTTP/1.0\r\n\r\n", "200"),
            (b"HEAD /metrics HTTP/1.1\r\n\r\n", "200"),
            (b"GET / HTTP/1.1\r\n\r\n", "404"),
            (b"GET /metrics/../etc HTTP/1.1\r\n\r\n", "404"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
            (b"GET /metrics HTTP/2.0\r\n\r\n", "400"),
            (b"GET metrics HTTP/1.1\r\n\r\n", "400"),
            (b"GET /metrics HTTP/1.1 \r\n\r\n", "400"),
            (b"GET /metrics HTTP/1.1\r\n", "400"),
            (b"\xff\xfe\r\n\r\n", "400"),
            (b"", "400"),
        ];
        for (request, expected) in answered {
            assert_eq!(status(request), expected, "{request:?}");
        }
    }

    #[test]
    fn a_name_of_somebody_else_is_refused() {
        let of = |headers: &str| status(format!("GET /metrics HTTP/1.1\r\n{headers}\r\n").as_bytes());
        for host in [
            "127.0.0.1",
            "127.0.0.1:9464",
            "10.0.0.1:9464",
            "[::1]",
            "[::1]:9464",
            "localhost",
            "LOCALHOST:9464",
            "node-1.example:9464",
        ] {
            assert_eq!(of(&format!("Accept: */*\r\nhOsT: {host} \r\n")), "200", "{host}");
        }
        for host in
            ["evil.example", "evil.example:9464", "localhost.evil.example", "node-1.example:x", "", "a@127.0.0.1"]
        {
            assert_eq!(of(&format!("Host: {host}\r\n")), "421", "{host}");
        }
        assert_eq!(of("Host: localhost\r\nHost: evil.example\r\n"), "400");
    }

    #[test]
    fn a_head_has_the_length_of_the_body_that_it_leaves_out() {
        let response = respond(b"HEAD /metrics HTTP/1.1\r\n\r\n", &[], || "page".into());
        assert!(response.contains("Content-Length: 4\r\n") && response.ends_with("\r\n\r\n"), "{response}");
    }
}
