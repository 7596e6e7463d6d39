//! Act: a Service is at a port of the node, too: at its addresses for everybody, at its loopback for itself.

use super::{
    ask::{Answers, PATIENCE, Way, ask},
    report::Report,
    stage::Stage,
    target::{DNS, Named, Target, WEB},
};
use crate::{
    kernel::sys::netns_cookie,
    lab::{Place, TcpServer},
    model::{Family, Protocol},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Questions to each address.
const QUESTIONS: usize = 300;
/// What the pod's own server answers with.
const OWN: &str = "its-own";

/// Plays it.
pub fn play(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let [web4, web6] = both(stage, WEB, Protocol::Tcp)?;
    let [dns4, dns6] = both(stage, DNS, Protocol::Udp)?;
    report.act("NodePort", format_args!("{QUESTIONS} connections each to web by TCP, to kube-dns by UDP"))?;
    let pods = stage.pods();
    report.columns(&pods)?;
    let [node, pod] = stage.clients();
    let mut asks = Vec::new();
    for target in [&web4, &web6, &dns4, &dns6] {
        asks.push(("node", &node, target, at_loopback(target, stage)?));
    }
    if netns_cookie().is_err() {
        // Without the cookie the programs take the initial namespace for the node's, and the lab's for a pod.
        asks.clear();
        report.told("node   127.0.0.1 and [::1]", "only outside of a lab before Linux 5.14")?;
    }
    for target in [&web4, &web6] {
        asks.push(("node", &node, target, stage.at_node(target)?));
    }
    for target in [&web4, &web6, &dns4, &dns6] {
        asks.push((pods[0].as_str(), &pod, target, stage.at_node(target)?));
    }
    let mut faults = Vec::new();
    for (asker, place, target, address) in asks {
        let label = format!("{asker:6} {} {address}", target.protocol);
        let answers = gather(stage, place, target.protocol, address)?;
        report.spread(&label, &pods, &answers)?;
        faults.extend(answers.faults_among(&label, &target.pods));
    }
    let mut strange = Vec::new();
    for target in [&web4, &web6, &dns4, &dns6] {
        let address = at_loopback(target, stage)?;
        let fault = not_its_own(stage, &pod, target.protocol, address)?;
        strange.extend(fault.map(|fault| format!("{} {} {address}: {fault}", pods[0], target.protocol)));
    }
    if strange.is_empty() {
        let what = format!("{:6} 127.0.0.1 and [::1]", pods[0]);
        report.told(&what, "the pod's own: refused until it listens there itself")?;
    }
    faults.extend(strange);
    report.verdict(
        "the node's addresses answer everybody, its loopback the node itself, by UDP as by TCP",
        faults,
    )?;
    Ok(())
}

fn both(stage: &Stage, service: Named, protocol: Protocol) -> anyhow::Result<[Target; 2]> {
    Ok([stage.target(service, protocol, Family::V4)?, stage.target(service, protocol, Family::V6)?])
}

/// The same port as at the node's own address.
fn at_loopback(target: &Target, stage: &Stage) -> anyhow::Result<SocketAddr> {
    let loopback: IpAddr = match target.family {
        Family::V4 => Ipv4Addr::LOCALHOST.into(),
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
    };
    Ok(SocketAddr::new(loopback, stage.at_node(target)?.port()))
}

/// Asks in both ways, half of the questions in each.
fn gather(stage: &Stage, place: &Place, protocol: Protocol, address: SocketAddr) -> anyhow::Result<Answers> {
    let ways = Way::of(protocol);
    let interrupt = &stage.interrupt;
    let mut all = Answers::default();
    for way in ways {
        all.add(place.run(|| Answers::gather(way, address, QUESTIONS / ways.len(), interrupt))?);
        interrupt.check()?;
    }
    Ok(all)
}

/// Anything but this: a pod is refused at its own loopback while it has no server there, and reaches that
/// server once it has one.
fn not_its_own(
    stage: &Stage,
    pod: &Place,
    protocol: Protocol,
    address: SocketAddr,
) -> anyhow::Result<Option<String>> {
    if protocol == Protocol::Udp {
        let answer = pod.run(|| ask(Way::UdpConnected, address))?;
        return Ok(refused(answer));
    }
    if let Some(fault) = refused(pod.run(|| ask(Way::Tcp, address))?) {
        return Ok(Some(fault));
    }
    let _own = TcpServer::start(stage.lab.pod(0), OWN, address)?;
    let (name, _) = pod.run(|| ask(Way::Tcp, address))??;
    Ok((name != OWN).then(|| format!("{name} answered in place of the pod's own server")))
}

/// Anything but a refusal.
fn refused(answer: io::Result<(String, SocketAddr)>) -> Option<String> {
    match answer {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => None,
        Err(error) => Some(format!("not refused but: {error}")),
        Ok((name, _)) => Some(format!("{name} answered within {PATIENCE:?}")),
    }
}
