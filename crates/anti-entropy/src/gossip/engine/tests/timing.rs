//! Frames that arrive at an awkward time.

use alloc::string::ToString;
use core::time::Duration;

use super::{Cluster, Item, frames, name};
use crate::gossip::*;
use crate::replica::{Keyed, LastWriterWins};

/// B's opening was on its way when B wrote and A then began to wait.
#[test]
fn an_opening_that_was_on_its_way_certifies_nothing_for_whoever_waits_since() {
    let config = GossipConfig { push: false, ..GossipConfig::default() };
    let mut cluster = Cluster::new(2, &LastWriterWins, &config, 1);
    let t0 = cluster.now;
    assert!(cluster.engine(1).sync_now(&name(0), t0));
    let (opening, _) = frames(cluster.engine(1), t0);
    // B's write is acknowledged.
    let t1 = t0.after(Duration::from_millis(1));
    cluster.engine(1).write(Keyed::new(1, "acknowledged".to_string()), t1).unwrap();
    // Now A waits (as Worker::wait_converged does).
    let t2 = t0.after(Duration::from_millis(2));
    assert!(cluster.engine(0).sync_until_converged(&name(1), t2));
    let _ = frames(cluster.engine(0), t2);
    let t3 = t0.after(Duration::from_millis(3));
    for frame in opening {
        cluster.engine(0).handle_frame(&name(1), &frame, t3);
    }
    let _ = frames(cluster.engine(0), t3);
    assert!(cluster.value(0, 1).is_none());
    assert!(
        !cluster.engine(0).is_converged_with(&name(1), t2.elapsed),
        "A is told it has converged since t2, without B's write"
    );
}

/// the same with A's own session, whose last reply was on its way.
#[test]
fn a_reply_that_was_on_its_way_certifies_nothing_for_whoever_waits_since() {
    let config = GossipConfig { push: false, ..GossipConfig::default() };
    let mut cluster = Cluster::new(2, &LastWriterWins, &config, 1);
    let t0 = cluster.now;
    cluster.engine(0).sync_now(&name(1), t0);
    for frame in frames(cluster.engine(0), t0).0 {
        cluster.engine(1).handle_frame(&name(0), &frame, t0);
    }
    let reply = frames(cluster.engine(1), t0).0;
    let t1 = t0.after(Duration::from_millis(1));
    cluster.engine(1).write(Keyed::new(1, "acknowledged".to_string()), t1).unwrap();
    let t2 = t0.after(Duration::from_millis(2));
    cluster.engine(0).sync_until_converged(&name(1), t2);
    let t3 = t0.after(Duration::from_millis(3));
    for frame in reply {
        cluster.engine(0).handle_frame(&name(1), &frame, t3);
    }
    let _ = frames(cluster.engine(0), t3);
    assert!(cluster.value(0, 1).is_none());
    assert!(!cluster.engine(0).is_converged_with(&name(1), t2.elapsed));
}

/// a node that opens to several peers at once, as rounds do, is taken for a failing one.
#[test]
fn whoever_opens_to_several_and_goes_on_with_one_has_not_failed() {
    let mut failures = 0;
    for seed in 0..10 {
        let config = GossipConfig { push: false, ..GossipConfig::lan() };
        let mut cluster = Cluster::new(4, &LastWriterWins, &config, seed);
        for key in 0..200 {
            cluster.write(key as usize % 4, key, "value");
        }
        let now = cluster.now;
        for peer in 1..4 {
            cluster.engine(0).sync_now(&name(peer), now);
        }
        cluster.run(Duration::from_millis(200), |cluster| {
            let now = cluster.now;
            for node in 0..4 {
                failures += cluster.engine(node).status(now).peers.iter().map(|peer| peer.failures).max().unwrap();
            }
            failures > 0
        });
    }
    assert_eq!(failures, 0, "nobody failed");
}

/// a repeated first frame of a session that is over ends the peer's present one.
#[test]
fn a_late_copy_of_an_old_opening_leaves_the_present_session_alone() {
    let config = GossipConfig { push: false, ..GossipConfig::default() };
    let mut cluster = Cluster::new(2, &LastWriterWins, &config, 1);
    let now = cluster.now;
    cluster.engine(1).sync_now(&name(0), now);
    let first = frames(cluster.engine(1), now).0;
    for frame in &first {
        cluster.engine(0).handle_frame(&name(1), frame, now);
    }
    for frame in frames(cluster.engine(0), now).0 {
        cluster.engine(1).handle_frame(&name(0), &frame, now);
    }
    frames(cluster.engine(1), now);
    for key in 0..10 {
        cluster.write(0, key, "a");
        cluster.write(1, key, "b");
    }
    cluster.engine(1).sync_now(&name(0), now);
    let second = frames(cluster.engine(1), now).0;
    for frame in &second {
        cluster.engine(0).handle_frame(&name(1), frame, now);
    }
    for frame in frames(cluster.engine(0), now).0 {
        cluster.engine(1).handle_frame(&name(0), &frame, now);
    }
    for frame in &first {
        cluster.engine(0).handle_frame(&name(1), frame, now);
    }
    // From here on a link that loses nothing: the session could go on.
    assert!(cluster.run(Duration::from_secs(2), Cluster::equal), "stalled");
}

/// a drained engine with a peer that is due wakes its caller a thousand times a second.
#[test]
fn a_drained_engine_lets_its_caller_sleep() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig::default(), 1);
    let now = cluster.now;
    let silent = name(1);
    cluster.engine(0).sync_until_converged(&silent, now);
    // Time-out, so that the pursued peer is due again.
    let mut later = now;
    for _ in 0..40 {
        later = later.after(Duration::from_secs(1));
        cluster.engine(0).handle_timeout(later);
        frames(cluster.engine(0), later);
        if cluster.engine(0).is_idle() {
            break;
        }
    }
    cluster.engine(0).begin_shutdown();
    let later = later.after(Duration::from_secs(100));
    cluster.engine(0).handle_timeout(later);
    let (_, until) = frames(cluster.engine(0), later);
    assert!(until > later.elapsed + Duration::from_millis(1), "woken at {until:?} after {:?}", later.elapsed);
}

#[test]
fn the_age_of_the_oldest_session_is_that_of_one_that_is_open() {
    let config = GossipConfig { push: false, ..GossipConfig::default() };
    let mut cluster = Cluster::new(3, &LastWriterWins, &config, 1);
    let now = cluster.now;
    let after = |millis| now.after(Duration::from_millis(millis));
    let age = |cluster: &mut Cluster<Item>, node, millis| cluster.engine(node).oldest_session(after(millis));
    assert_eq!(age(&mut cluster, 0, 0), None);
    cluster.engine(0).sync_now(&name(1), now);
    let opening = frames(cluster.engine(0), now).0;
    cluster.engine(0).sync_now(&name(2), after(10));
    let _ = frames(cluster.engine(0), after(10));
    assert_eq!(age(&mut cluster, 0, 15), Some(Duration::from_millis(15)));
    // Node 1 is equal: its session is over at once, and only stays to repeat its reply.
    for frame in opening {
        cluster.engine(1).handle_frame(&name(0), &frame, after(20));
    }
    let replies = frames(cluster.engine(1), after(20)).0;
    assert_eq!((age(&mut cluster, 1, 25), cluster.engine(1).sessions_len()), (None, 1));
    for frame in replies {
        cluster.engine(0).handle_frame(&name(1), &frame, after(30));
    }
    let _ = frames(cluster.engine(0), after(30));
    assert_eq!(age(&mut cluster, 0, 35), Some(Duration::from_millis(25)));
}
