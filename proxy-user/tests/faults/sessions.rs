//! Streams and flows that live through a fault: each must be answered by the same backend every time.

use crate::{
    backend::Id,
    count::{Counts, Phase},
    dial::{Protocol, Session, Way},
    load::{Client, WEB},
};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(5);

struct Held {
    way: Way,
    session: Session,
    id: Id,
}

/// Opens streams and flows, tells that they are open, and asks all of them in turn until it is stopped. Half as many
/// streams are opened again while the fault happens: they, too, must get through it.
pub fn hold(client: &Client, sessions: usize, counts: &Counts, stop: &AtomicBool, opened: &mpsc::Sender<()>) {
    let way = |protocol| move |to: &_| Way { protocol, to: *to, from: None, service: WEB };
    let streams: Vec<_> = client.web.iter().map(way(Protocol::Tcp)).collect();
    let flows = client.web.iter().map(way(Protocol::Udp)).chain(client.affine());
    let flows: Vec<_> = flows.filter(|way| way.protocol == Protocol::Udp).collect();
    let mut held = Vec::new();
    for way in streams.iter().chain(&flows).flat_map(|way| std::iter::repeat_n(way, sessions)) {
        held.extend(open(way, counts));
    }
    let _ = opened.send(());
    let (mut number, mut late) = (0, false);
    while !stop.load(Relaxed) {
        if counts.phase() == Phase::During && !late {
            late = true;
            for way in streams.iter().flat_map(|way| std::iter::repeat_n(way, sessions.div_ceil(2))) {
                held.extend(open(way, counts));
            }
        }
        held.retain_mut(|held| {
            number += 1;
            let began = Instant::now();
            match held.session.ask(number) {
                Ok(id) => {
                    counts.answered();
                    if id != held.id {
                        counts.moved(&held.way, held.id, id);
                        held.id = id;
                    }
                    true
                }
                Err(failed) => {
                    counts.broke(&held.way, began, &failed);
                    false
                }
            }
        });
        thread::sleep(PAUSE);
    }
}

fn open(way: &Way, counts: &Counts) -> Option<Held> {
    let (phase, began) = (counts.phase(), Instant::now());
    let opened = Session::open(way).and_then(|session| Ok((session.ask(0)?, session)));
    match opened {
        Ok((id, session)) => {
            let count = if way.protocol == Protocol::Tcp { &counts.streams } else { &counts.flows };
            count.fetch_add(1, Relaxed);
            Some(Held { way: *way, session, id })
        }
        Err(failed) => {
            counts.failed(way, phase, began, &failed);
            None
        }
    }
}
