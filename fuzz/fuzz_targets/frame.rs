//! Frames and messages from a stranger, on both sides of a session: nothing panics, and the store stays sound.
#![no_main]

mod common;

use anti_entropy::session::{Frame, Session};
use anti_entropy::{Replica, ReplicaConfig, SessionConfig};
use common::{Item, collect, item, now, replica, sound};
use libfuzzer_sys::fuzz_target;

// Whether the stranger answers or opens; then frames: as they are, or messages put into a frame that fits the session.
fuzz_target!(|input: (bool, Vec<(u8, Vec<u8>)>)| {
    let (opened_here, steps) = input;
    let mut replica = some_replica();
    // Without checksums, so that everything is looked at.
    let config = SessionConfig::default().with(|config| {
        config.checksum = false;
        config.max_frame_bytes = SessionConfig::MIN_FRAME_BYTES;
        config.answer_bytes = 100;
        config.batch_bytes = 10_000;
        config.max_message_bytes = 10_000;
    });
    let mut session =
        opened_here.then(|| Session::open(7, &mut replica, config, now()).expect("the settings are valid"));
    let mut exchange = 0;
    // A stranger who opens properly gets further.
    if !opened_here && steps.first().is_some_and(|(how, _)| how & 4 == 0) {
        let mut stranger = Session::open(7, &mut common::replica(2, ReplicaConfig::default()), config, now())
            .expect("the settings are valid");
        let opening = collect(&mut stranger).0.remove(0);
        let frame = Frame::decode(&opening, &config).expect("an own frame");
        let mut answerer =
            Session::accept(&frame, 8, config, now()).expect("the settings are valid").expect("it opens a session");
        answerer.handle_frame(frame, &mut replica, now()).expect("memory does not fail");
        collect(&mut answerer);
        (session, exchange) = (Some(answerer), 1);
    }
    for (how, bytes) in steps {
        let bytes = if how & 1 == 0 { bytes } else { framed(opened_here, how, exchange, &bytes) };
        let Ok(frame) = Frame::decode(&bytes, &config) else { continue };
        assert!(frame.fragment < frame.fragments && frame.payload.len() <= bytes.len());
        if session.is_none() {
            session = Session::accept(&frame, 8, config, now()).expect("the settings are valid");
        }
        let Some(session) = &mut session else { continue };
        let handled = if how & 2 == 0 {
            session.handle_frame(frame, &mut replica, now())
        } else {
            session.handle_frame_while_busy(frame, &mut replica, now())
        };
        handled.expect("a peer cannot make the store fail");
        let (frames, _) = collect(session);
        for sent in frames {
            let sent = Frame::decode(&sent, &config).expect("an own frame");
            exchange = if opened_here { sent.exchange } else { sent.exchange + 1 };
        }
    }
    sound(&mut replica);
});

/// A message in one frame, or the first or second half of one.
fn framed(opened_here: bool, how: u8, exchange: u32, message: &[u8]) -> Vec<u8> {
    let kind = u8::from(opened_here);
    let session: u64 = if opened_here || exchange == 0 { 7 } else { 8 };
    let mut frame = vec![1, kind];
    frame.extend(session.to_be_bytes());
    let (fragment, fragments): (u32, u32) = if how & 0x70 == 0x70 { (u32::from(how >> 7), 2) } else { (0, 1) };
    let mut frame = postcard::to_extend(&(exchange, fragment, fragments), frame).expect("numbers encode");
    frame.extend_from_slice(message);
    // Hashes may be anything, so that short inputs make whole messages; what is too much is ignored.
    if how & 8 == 0 {
        frame.extend([0; 100]);
    }
    frame
}

fn some_replica() -> Replica<Item> {
    let mut replica = replica(1, ReplicaConfig::default());
    for key in 0..40 {
        replica.write(item(key, key, key), now()).expect("memory does not fail");
    }
    replica
}
