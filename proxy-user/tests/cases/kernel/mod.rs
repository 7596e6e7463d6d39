//! A case in the kernel: the same steps through a dataplane with attached programs, in a laboratory where
//! something listens on every endpoint, and on every address that is dialled. Whoever answers says its own
//! address, so it shows where a connection really went.

mod dataplane;
mod flows;
mod sockets;
mod stage;

use super::{
    agent::Agent as _,
    case::{Case, Dial, Explain, Flow, Socket, Step, Verdict},
    dials::check,
    script::{Place, play},
    text::{Dialled, From},
};
use dataplane::InKernel;
use flows::Flows;
use proxy_common::abi::Counter;
use shunt::{
    explain::{Answer, Origin, explain},
    model::{Family, Protocol},
};
use sockets::Outcome;
use stage::{Purpose, Stage};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    slice,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Connections to each endpoint on average: so many at least, to meet a wrong one, and at most, to meet all.
const DIALS: [usize; 2] = [12, 48];

/// The longest time that is slept for a case.
const PATIENCE: u32 = 3;

/// Maps and cgroups of one case at a time: loading programs is work for all CPUs.
static ALONE: Mutex<()> = Mutex::new(());

/// Whether a laboratory can be made here; SHUNT_REQUIRE_LAB says that it must.
pub fn available() -> bool {
    match shunt::lab::available() {
        Ok(()) => true,
        Err(reason) => {
            assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
            eprintln!("the cases are not run in the kernel: {reason}");
            false
        }
    }
}

pub fn run(case: &Case) -> Result<(), String> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::new()?;
    let agent = InKernel::open(case, &stage)?;
    let mut machine =
        Machine { agent, stage, silent: Vec::new(), flows: Flows::default(), last: BTreeMap::new() };
    play(case, &mut machine)?;
    for counter in [Counter::Inconsistent, Counter::ReverseFull] {
        if machine.agent.counter(counter)? > 0 {
            return Err(format!("{} is not zero", counter.name()));
        }
    }
    Ok(())
}

/// Fields are dropped in their order: the agent goes first.
struct Machine<'a> {
    agent: InKernel<'a>,
    stage: Stage,
    /// Endpoints where nobody listens.
    silent: Vec<SocketAddr>,
    flows: Flows,
    /// Where a client's last connection through a service port went.
    last: BTreeMap<(From, Option<String>, Protocol, Family), SocketAddr>,
}

impl<'a> Place for Machine<'a> {
    type Agent = InKernel<'a>;

    fn agent(&mut self) -> &mut InKernel<'a> {
        &mut self.agent
    }

    fn restart(&mut self) -> Result<(), String> {
        self.agent.restart(&self.stage)
    }

    fn prepare(&mut self, step: &Step) -> Result<(), String> {
        for port in self.agent.ports()? {
            let protocol = port.id.as_ref().map_or(Protocol::Tcp, |id| id.protocol);
            let listening = port.cluster.iter().chain(&port.local).filter(|a| !step.silent.contains(a));
            for address in listening {
                self.stage.serve(Dialled { address: *address, protocol }, None)?;
            }
        }
        self.silent.clone_from(&step.silent);
        for address in &step.silent {
            self.stage.own(address.ip()).map_err(|error| error.to_string())?;
        }
        let asked = step.expect.explain.iter().map(|asked| (asked.dial, asked.from, Purpose::Ask));
        let dialled = step.dials.iter().map(|dial| (dial.to, dial.from, Purpose::Dial));
        let flows = step.flows.iter().map(|flow| (flow.to, flow.from, Purpose::Dial));
        for (to, from, purpose) in
            asked.chain(dialled).chain(flows).filter(|(to, from, _)| is_playable(*to, *from))
        {
            self.stage.add_client(from, purpose)?;
            self.stage.serve(to, Some((from, purpose)))?;
        }
        Ok(())
    }

    fn ask(&mut self, expected: &Explain, answer: &Answer) -> Result<(), String> {
        let dialled = expected.dial;
        if !is_playable(dialled, expected.from) {
            return Ok(());
        }
        let place = self.stage.client(expected.from, Purpose::Ask)?;
        let wanted = match (expected.socket, expected.verdict) {
            (Some(Socket::Untouched), _) | (None, Verdict::Pass) => {
                Outcome::Answered(canonical(dialled.address))
            }
            (None, Verdict::Reject) => Outcome::Refused,
            (None, Verdict::Drop) => Outcome::Dropped,
            (None, Verdict::Forward) => return self.spread(expected, answer),
        };
        // A UDP socket may be connected or not.
        for found in place.run(|| sockets::dial_in_every_way(dialled)).map_err(|error| error.to_string())? {
            if found != wanted {
                return Err(format!("a socket finds {found:?}, not {wanted:?}"));
            }
        }
        Ok(())
    }

    fn dial(&mut self, dial: &Dial) -> Result<bool, String> {
        if !is_playable(dial.to, dial.from) || dial.after_seconds > PATIENCE {
            return Ok(false);
        }
        thread::sleep(Duration::from_secs(dial.after_seconds.into()));
        let question = dial.from.question(dial.to);
        let service = explain(&self.agent.copy()?, &question).map_err(|error| error.to_string())?.service;
        let before = self.affinities()?;
        let place = self.stage.client(dial.from, Purpose::Dial)?;
        let found = place.run(|| sockets::dial(dial.to)).map_err(|error| error.to_string())?;
        let Outcome::Answered(reached) = found else { return Err(format!("it finds {found:?}")) };
        let after = self.affinities()?;
        let family = Family::of(&dial.to.address.ip());
        let last = self.last.insert((dial.from, service, dial.to.protocol, family), reached);
        check(dial, [after[0] - before[0], after[1] - before[1]], reached, last).map(|()| true)
    }

    fn begin(&mut self, flow: &Flow) -> Result<(), String> {
        self.flows.begin(&self.stage.client(flow.from, Purpose::Dial)?, flow)
    }

    fn flows_go_on(&mut self) -> Result<(), String> {
        self.flows.go_on()
    }
}

impl Machine<'_> {
    /// Affinities that were made and that were kept since the maps were made.
    fn affinities(&self) -> Result<[u64; 2], String> {
        Ok([self.agent.counter(Counter::AffinityNew)?, self.agent.counter(Counter::AffinityKept)?])
    }

    /// Dials until every endpoint has answered, and often enough to meet one that should not.
    fn spread(&self, expected: &Explain, answer: &Answer) -> Result<(), String> {
        let place = self.stage.client(expected.from, Purpose::Ask)?;
        let endpoints: BTreeSet<_> = answer.endpoints.iter().copied().collect();
        let [least, most] = DIALS.map(|dials| dials * endpoints.len());
        let kept = self.agent.counter(Counter::AffinityKept)?;
        let (silent, mut seen) = (self.silent.as_slice(), BTreeSet::new());
        let outcome = place.run(|| {
            for number in 0..most {
                if number >= least && seen == endpoints {
                    break;
                }
                for found in sockets::dial_in_every_way(expected.dial) {
                    let reached = match &found {
                        Outcome::Answered(endpoint) if endpoints.contains(endpoint) => {
                            slice::from_ref(endpoint)
                        }
                        // Led to an endpoint that does not answer, and nowhere else.
                        Outcome::Refused if !silent.is_empty() => silent,
                        other => return Err(format!("a socket finds {other:?}, none of {endpoints:?}")),
                    };
                    seen.extend(reached);
                }
            }
            Ok(())
        });
        outcome.map_err(|error| error.to_string())??;
        let is_sticky = self.agent.counter(Counter::AffinityKept)? > kept;
        if seen == endpoints || is_sticky { Ok(()) } else { Err(format!("{most} dials reach {seen:?} only")) }
    }
}

/// Whether sockets of this machine can play it: what comes from other machines, and SCTP, are packets.
fn is_playable(dialled: Dialled, from: From) -> bool {
    dialled.protocol != Protocol::Sctp && from.origin() != Origin::Outside
}

/// An IPv4-mapped address as the IPv4 address that it means.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
