//! Act: what nobody can answer is refused by connect() itself; the client waits for nothing.

use super::{
    dial::{dial, median, socket},
    report::Report,
    stage::Stage,
    target::{EMPTY, WEB},
    text,
};
use crate::model::{Family, Protocol};
use rustix::{
    io::Errno,
    net::{SocketFlags, SocketType},
};
use std::{io, net::SocketAddr, time::Duration};

/// Calls to each address.
const CALLS: usize = 200;

/// Plays it.
pub fn play(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    report.act("Refusal", format_args!("{CALLS} calls each, from a pod; medians"))?;
    let empty = stage.target(EMPTY, Protocol::Tcp, Family::V4)?;
    let web = stage.target(WEB, Protocol::Tcp, Family::V4)?;
    let unknown = SocketAddr::new(web.address.ip(), web.address.port() + 1);
    let cases = [
        (empty.to_string(), empty.address, "has no endpoints"),
        (format!("{} {} {unknown}", web.service.name, web.protocol), unknown, "is no port of the Service"),
    ];
    let mut faults = Vec::new();
    let [_, pod] = stage.clients();
    for (what, address, why) in cases {
        stage.interrupt.check()?;
        let Refusals { mut times, others } = pod.run(|| call(address))??;
        if let Some(other) = others.first() {
            let said = match other {
                Ok(()) => "it was answered".to_owned(),
                Err(Errno::INPROGRESS) => "the client would have waited".to_owned(),
                Err(error) => error.to_string(),
            };
            faults.push(format!("{what}: {} of {CALLS} were not refused: {said}", others.len()));
        }
        let took = text::time(median(&mut times));
        report.row(format_args!("{what:30} {why:30} refused after {took}"))?;
    }
    report.verdict("connect() itself says no: the client waits for nothing", faults)?;
    Ok(())
}

struct Refusals {
    /// How long each refusal took.
    times: Vec<Duration>,
    /// What was no refusal.
    others: Vec<Result<(), Errno>>,
}

/// The socket does not wait: what connect() says at once is all that it says.
fn call(address: SocketAddr) -> io::Result<Refusals> {
    let mut refusals = Refusals { times: Vec::with_capacity(CALLS), others: Vec::new() };
    for _ in 0..CALLS {
        let socket = socket(address, SocketType::STREAM, SocketFlags::NONBLOCK)?;
        match dial(&socket, address) {
            // EPERM where a program cannot choose its error (before Linux 6.1).
            (took, Err(Errno::CONNREFUSED | Errno::PERM)) => refusals.times.push(took),
            (_, other) => refusals.others.push(other),
        }
    }
    Ok(refusals)
}
