//! Announcing long frames costs the receiver next to nothing. A binary of its own, since it measures the process.

mod common;

use anti_entropy::Transport;
use common::{bind, closed, config, connect, in_time, peer, put};
use tokio::io::AsyncWriteExt;

const CONNECTIONS: u64 = 10_000;
const AT_ONCE: usize = 250;

/// The most address space and the most memory that the process has had, in KiB.
#[cfg(target_os = "linux")]
fn peaks() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    ["VmPeak:", "VmHWM:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says it");
        line.trim().trim_end_matches(" kB").parse().expect("it is a number")
    })
}

#[cfg(not(target_os = "linux"))]
fn peaks() -> [u64; 2] {
    [0; 2]
}

#[tokio::test]
async fn ten_thousand_connections_that_announce_four_gibibytes() {
    let b = bind(config("b").with(|config| config.accept_unknown_peers = true)).await;
    let before = peaks();
    let mut opened = 0;
    while opened < CONNECTIONS {
        let mut connections = Vec::new();
        for _ in 0..AT_ONCE {
            opened += 1;
            let (connection, status) = connect(&b, &format!("n{opened}"), "b").await;
            assert_eq!(status, 0);
            connections.push(connection);
        }
        for connection in &mut connections {
            connection.write_all(&[0xFF; 4]).await.unwrap();
        }
        for connection in &mut connections {
            closed(connection).await;
        }
    }
    assert_eq!(b.stats().refused.frame_too_long, CONNECTIONS);

    // The longest frame that is allowed, announced and not sent.
    let mut waiting = Vec::new();
    for number in 0..AT_ONCE {
        let (mut connection, _) = connect(&b, &format!("w{number}"), "b").await;
        connection.write_u32(1 << 20).await.unwrap();
        connection.write_all(&[0; 10]).await.unwrap();
        waiting.push(connection);
    }
    let (mut honest, _) = connect(&b, "honest", "b").await;
    put(&mut honest, b"hello").await;
    assert_eq!(in_time(b.receive()).await, Some((peer("honest"), b"hello".to_vec())));

    let [space, memory] = [0, 1].map(|which| (peaks()[which] - before[which]) >> 10);
    assert!(space < 200 && memory < 32, "it took {space} MiB of address space and {memory} MiB of memory");
}
