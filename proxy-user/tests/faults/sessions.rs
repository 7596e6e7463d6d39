//! Streams and flows that live through a fault: each must be answered by the same backend every time.

use crate::{
    backend::Id,
    count::{Begun, Counts, Phase},
    dial::{Protocol, Session, Way},
    load::Client,
};
use std::{
    iter::repeat_n,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(5);

struct Held {
    way: Way,
    session: Session,
    id: Id,
    /// When it was answered last: since then, whatever ended it has happened.
    answered: Begun,
}

/// Opens streams and flows, tells that they are open, and asks all of them in turn until it is stopped. Half as many
/// streams are opened again while the fault happens: they, too, must get through it.
///
/// Sockets are made in the client's place, and asked from where the caller is: a cgroup can be removed though they stay.
pub fn hold(client: &Client, sessions: usize, counts: &Counts, stop: &AtomicBool, opened: &mpsc::Sender<()>) {
    let of = |protocol| move |way: &Way| way.protocol == protocol;
    let own = Client { severed: client.breaks, ..client.clone() };
    let plain = own.plain();
    let streams: Vec<_> = plain.iter().copied().filter(of(Protocol::Tcp)).collect();
    let flows = plain.iter().copied().chain(own.affine()).filter(of(Protocol::Udp));
    let first: Vec<_> =
        streams.iter().copied().chain(flows).flat_map(|way| repeat_n(way, sessions)).collect();
    let late: Vec<_> = streams.iter().flat_map(|way| repeat_n(*way, sessions.div_ceil(2))).collect();
    let open_all = |ways: &[Way]| {
        let open = || ways.iter().filter_map(|way| open(way, counts)).collect::<Vec<_>>();
        client.place.run(open).unwrap()
    };
    let mut held = open_all(&first);
    let _ = opened.send(());
    let (mut number, mut is_late) = (0, false);
    while !stop.load(Relaxed) {
        if counts.phase() == Phase::During && client.reopens && !is_late {
            is_late = true;
            held.extend(open_all(&late));
        }
        held.retain_mut(|held| {
            number += 1;
            let begun = counts.begin();
            match held.session.ask(number) {
                Ok(id) => {
                    counts.answered();
                    held.answered = begun;
                    if id != held.id {
                        counts.moved(&held.way, held.id, id);
                        held.id = id;
                    }
                    true
                }
                Err(failed) => {
                    counts.broke(&held.way, &held.answered, &failed);
                    false
                }
            }
        });
        thread::sleep(PAUSE);
    }
}

fn open(way: &Way, counts: &Counts) -> Option<Held> {
    let begun = counts.begin();
    let opened = Session::open(way).and_then(|session| Ok((session.ask(0)?, session)));
    match opened {
        Ok((id, session)) => {
            let count = if way.protocol == Protocol::Tcp { &counts.streams } else { &counts.flows };
            count.fetch_add(1, Relaxed);
            Some(Held { way: *way, session, id, answered: begun })
        }
        Err(failed) => {
            counts.failed(way, &begun, &failed);
            None
        }
    }
}
