//! A case over maps in memory: the decisions of the datapath's own code, with a clock that the case turns.

use super::{
    agent::Agent as _,
    case::{Case, Dial, Explain, Flow, Step, Verdict},
    client::SocketClient,
    dials::check,
    script::{Place, play},
    text::From,
};
use proxy_common::{
    abi::{Counter, SocketPeer},
    datapath::{self, Decision},
};
use shunt::{
    engine::{Engine, Rules},
    explain::{Answer, Origin, explain},
    model::{Family, Protocol},
    writer::{Capacities, MemoryMaps},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// Picks of each endpoint that a test makes on average.
const PICKS: usize = 32;

/// Small maps.
pub const CAPACITIES: Capacities = Capacities {
    frontends: 256,
    services: 64,
    slots: 256,
    backends: 256,
    name_cells: 512,
    sockets: 256,
    affinities: 256,
    flows: 1_024,
    prefixes: 256,
};

pub fn run(case: &Case) -> Result<(), String> {
    let rules = case.rules()?;
    let engine = engine(case, &rules, MemoryMaps::new(&CAPACITIES))?;
    let memory = Memory { case, rules, engine, now: 0, clients: Vec::new(), last: BTreeMap::new() };
    play(case, &mut { memory })
}

fn engine(case: &Case, rules: &Rules, maps: MemoryMaps) -> Result<Engine<MemoryMaps>, String> {
    Engine::new(case.node.as_str(), rules.clone(), maps).map_err(|error| error.to_string())
}

struct Memory<'a> {
    case: &'a Case,
    rules: Rules,
    engine: Engine<MemoryMaps>,
    /// Seconds.
    now: u64,
    /// Who has a network namespace of its own.
    clients: Vec<From>,
    /// Where a client's last connection through a service port went.
    last: BTreeMap<(From, Option<String>, Protocol, Family), SocketAddr>,
}

impl Place for Memory<'_> {
    type Agent = Engine<MemoryMaps>;

    fn agent(&mut self) -> &mut Self::Agent {
        &mut self.engine
    }

    fn restart(&mut self) -> Result<(), String> {
        self.engine = engine(self.case, &self.rules, self.engine.writer().clone())?;
        Ok(())
    }

    fn prepare(&mut self, _: &Step) -> Result<(), String> {
        Ok(())
    }

    fn ask(&mut self, expected: &Explain, answer: &Answer) -> Result<(), String> {
        if expected.dial.protocol == Protocol::Sctp || expected.from.origin() == Origin::Outside {
            return Ok(());
        }
        let client = self.client(expected.from);
        let maps = self.engine.copy()?;
        let mut picked = BTreeMap::<SocketAddr, usize>::new();
        // Every dial is another socket's.
        for cookie in 1..=(PICKS * answer.endpoints.len().max(1)) as u64 {
            let dial = self.dial_of(expected, cookie);
            let mut decisions = vec![datapath::connect(&maps, &client, &dial)];
            if expected.dial.protocol == Protocol::Udp {
                decisions.push(datapath::send(&maps, &client, &dial));
            }
            for decision in decisions {
                match (decision, expected.socket, expected.verdict) {
                    (Decision::Rewrite(peer), None, Verdict::Forward) => {
                        *picked.entry(address(peer)).or_default() += 1;
                    }
                    (Decision::Pass, Some(_), _)
                    | (Decision::Pass, None, Verdict::Pass)
                    | (Decision::Refuse, None, Verdict::Reject)
                    | (Decision::Drop, None, Verdict::Drop) => {}
                    (other, ..) => return Err(format!("a socket's call is decided otherwise: {other:?}")),
                }
            }
        }
        let is_sticky = maps.counter(Counter::AffinityKept) > 0;
        if picked.is_empty() || is_sticky {
            return Ok(());
        }
        let endpoints: BTreeSet<_> = answer.endpoints.iter().copied().collect();
        if picked.keys().copied().collect::<BTreeSet<_>>() != endpoints {
            return Err(format!("sockets are led to {picked:?}"));
        }
        let share = picked.values().sum::<usize>() / endpoints.len();
        let is_fair = |count: &usize| (share / 2..=share * 2).contains(count);
        if picked.values().all(is_fair) { Ok(()) } else { Err(format!("shares are uneven: {picked:?}")) }
    }

    fn dial(&mut self, dial: &Dial) -> Result<bool, String> {
        self.now += u64::from(dial.after_seconds);
        let client = self.client(dial.from);
        let question = dial.from.question(dial.to);
        let maps = self.engine.writer();
        maps.set_now(self.now * 1_000_000_000);
        let counts = || [Counter::AffinityNew, Counter::AffinityKept].map(|counter| maps.counter(counter));
        // The service port that is dialled; asked of a copy, which remembers nothing for the client.
        let service = explain(&self.engine.copy()?, &question).map_err(|error| error.to_string())?.service;
        let before = counts();
        let reached = if dial.from.origin() == Origin::Outside {
            explain(maps, &question).map_err(|error| error.to_string())?.picked
        } else {
            let peer = SocketPeer::new(dial.to.address.ip().into(), dial.to.address.port().to_be());
            let call = datapath::Dial { cookie: 1, peer, protocol: dial.to.protocol as u8 };
            match datapath::connect(maps, &client, &call) {
                Decision::Rewrite(peer) => Some(address(peer)),
                _ => None,
            }
        };
        let Some(reached) = reached else { return Err("it reaches no endpoint".to_owned()) };
        let after = counts();
        let family = Family::of(&dial.to.address.ip());
        let last = self.last.insert((dial.from, service, dial.to.protocol, family), reached);
        check(dial, [after[0] - before[0], after[1] - before[1]], reached, last).map(|()| true)
    }

    fn begin(&mut self, _: &Flow) -> Result<(), String> {
        Ok(())
    }

    fn flows_go_on(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl Memory<'_> {
    fn client(&mut self, from: From) -> SocketClient {
        let known = self.clients.iter().position(|client| *client == from);
        let index = known.unwrap_or_else(|| {
            self.clients.push(from);
            self.clients.len() - 1
        });
        SocketClient { from, namespace: index as u64 + 1 }
    }

    fn dial_of(&self, expected: &Explain, cookie: u64) -> datapath::Dial {
        let address = expected.dial.address;
        let peer = SocketPeer::new(address.ip().into(), address.port().to_be());
        datapath::Dial { cookie, peer, protocol: expected.dial.protocol as u8 }
    }
}

fn address(peer: SocketPeer) -> SocketAddr {
    SocketAddr::new(peer.address.to_ip(), u16::from_be(peer.port))
}
