//! Act: what a connect() costs through Shunt, beside the direct one.

use super::{
    dial::{dial, median, socket},
    report::Report,
    stage::Stage,
    target::{DNS, Target, WEB},
    text,
};
use crate::{
    lab::Place,
    model::{Family, Protocol},
};
use rustix::net::{SocketFlags, SocketType};
use std::{io, os::fd::OwnedFd, time::Duration};

/// Rounds, and of how many the times count. A machine that does other things meanwhile makes some
/// rounds twice as slow, both sides alike.
const ROUNDS: usize = 30;
const QUIETEST: usize = 10;
/// Pairs of calls in each half of a round. The four times as many sockets, and their other ends in the
/// same process, are far from the usual limit of 1,024 descriptors.
const PAIRS: usize = 50;

/// Plays it.
pub fn play(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let [calls, all] = [QUIETEST, ROUNDS].map(|rounds| text::count(rounds * 2 * PAIRS));
    report.act(
        "Cost",
        format_args!("of connect(), taken in turn: medians of {calls} calls, the quietest of {all}"),
    )?;
    report.row(format_args!("{:35}{:>12}{:>16}{:>14}", "", "direct", "through Shunt", "difference"))?;
    let cases =
        [(DNS, Protocol::Udp, "UDP, sends no packet"), (WEB, Protocol::Tcp, "TCP, with its handshake")];
    let mut faults = Vec::new();
    for (service, protocol, label) in cases {
        for family in Family::BOTH {
            let target = stage.target(service, protocol, family)?;
            let mut rounds = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                stage.interrupt.check()?;
                rounds.push(Round::take(stage, &target)?);
            }
            let errors: Vec<_> = rounds.iter().flat_map(|round| &round.errors).collect();
            if let Some(error) = errors.first() {
                faults.push(format!("{target}: {} calls failed, the first with: {error}", errors.len()));
            }
            rounds.sort_by_cached_key(Round::noise);
            rounds.truncate(QUIETEST);
            let mut direct: Vec<_> = rounds.iter().flat_map(|round| &round.direct).copied().collect();
            let mut through: Vec<_> = rounds.iter().flat_map(|round| &round.through).copied().collect();
            let (direct, through) = (median(&mut direct), median(&mut through));
            let more = text::difference(through, direct);
            let label = format!("{label}, {family}");
            let (direct, through) = (text::time(direct), text::time(through));
            report.row(format_args!("{label:35}{direct:>12}{through:>16}{more:>14}"))?;
        }
    }
    report.verdict("every call went through; the difference is paid once per connection", faults)?;
    Ok(())
}

/// Times of calls that were made in turn.
#[derive(Default)]
struct Round {
    direct: Vec<Duration>,
    through: Vec<Duration>,
    errors: Vec<io::Error>,
}

/// A side of the comparison: its times go to one of the lists above.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// A socket that Shunt never sees, to a backend.
    Direct,
    /// A socket of the programs' cgroup, to the Service.
    Through,
}

impl Round {
    fn take(stage: &Stage, target: &Target) -> anyhow::Result<Self> {
        let mut round = Self::default();
        // The socket that was made last is warm in the cache, and whoever connects second meets a server
        // that the first has woken: each side is each of them equally often.
        for order in [[Side::Direct, Side::Through], [Side::Through, Side::Direct]] {
            let sockets = [open(stage, target, order[0])?, open(stage, target, order[1])?];
            let backends = target.backends.iter().cycle();
            for (number, ((first, second), backend)) in
                sockets[0].iter().zip(&sockets[1]).zip(backends).enumerate()
            {
                let mut pair = [(order[0], first), (order[1], second)];
                if number % 2 == 1 {
                    pair.reverse();
                }
                for (side, socket) in pair {
                    let (address, times) = match side {
                        Side::Direct => (*backend, &mut round.direct),
                        Side::Through => (target.address, &mut round.through),
                    };
                    match dial(socket, address) {
                        (took, Ok(())) => times.push(took),
                        (_, Err(error)) => round.errors.push(error.into()),
                    }
                }
            }
        }
        Ok(round)
    }

    /// How slow both sides were together.
    fn noise(&self) -> Duration {
        median(&mut self.direct.clone()) + median(&mut self.through.clone())
    }
}

/// Sockets in the node's namespace.
fn open(stage: &Stage, target: &Target, side: Side) -> anyhow::Result<Vec<OwnedFd>> {
    let kind = if target.protocol == Protocol::Tcp { SocketType::STREAM } else { SocketType::DGRAM };
    let place: Place = match side {
        Side::Direct => stage.lab.node().into(),
        Side::Through => stage.cgroup.at(stage.lab.node()),
    };
    let one = |_| socket(target.address, kind, SocketFlags::empty());
    Ok(place.run(|| (0..PAIRS).map(one).collect::<io::Result<Vec<_>>>())??)
}
