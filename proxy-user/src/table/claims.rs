//! Who owns which frontend. Several service ports may claim one address and port (external IPs,
//! load-balancer IPs); exactly one has it, and which one does not depend on the order of events.

use super::port::Port;
use super::spec::{Frontend, Full};
use crate::{
    model::{Family, PortId},
    writer::FrontendKey,
};
use ahash::AHashMap;
use proxy_common::abi::{FrontendFlags, FrontendValue, Scope};

/// All claims, by frontend, with what the kernel holds of each.
#[derive(Debug)]
pub(super) struct Claims {
    by_key: AHashMap<FrontendKey, Claim>,
    /// Keys whose wanted and installed value may differ.
    touched: Vec<FrontendKey>,
    /// Keys of each family, wanted or installed.
    occupied: [u32; 2],
    capacity: u32,
    services: u32,
    /// By index into SERVICES: how many frontends in the kernel lead there. Those that lead outside of
    /// SERVICES, in maps that somebody damaged, lead nowhere.
    leading: Vec<u32>,
}

#[derive(Debug, Default)]
struct Claim {
    /// The value in the kernel's map.
    installed: Option<FrontendValue>,
    winner: Option<Claimant>,
    /// Claimants that have to wait.
    rivals: Vec<Claimant>,
    touched: bool,
}

/// The node itself, which claims its addresses; no service port has this index.
pub(super) const NODE: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Claimant {
    port: u32,
    kind: FrontendFlags,
}

/// Two service ports claim one frontend.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Conflict {
    /// The address, port and protocol.
    pub key: FrontendKey,
    /// The service port that has it: a ClusterIP before any other kind, a load balancer's address before an
    /// external IP, then the older Service, then the smaller name.
    pub winner: PortId,
    /// The service port that has to do without.
    pub loser: PortId,
}

/// The slot of a family in `occupied`.
const fn family(key: &FrontendKey) -> usize {
    match key {
        FrontendKey::V4(_) => Family::V4 as usize,
        FrontendKey::V6(_) => Family::V6 as usize,
    }
}

impl Claims {
    /// No claims, over maps of `capacity` frontends and `services` service ports.
    pub fn new(capacity: u32, services: u32) -> Self {
        Self {
            by_key: AHashMap::new(),
            touched: Vec::new(),
            occupied: [0; 2],
            capacity,
            services,
            leading: Vec::new(),
        }
    }

    /// Room for more frontends and service ports.
    pub fn grow(&mut self, capacity: u32, services: u32) {
        self.capacity = self.capacity.max(capacity);
        let services = self.services.max(services);
        let before = std::mem::replace(&mut self.services, services);
        // In maps that somebody damaged, frontends may have led to what was outside of SERVICES.
        let installed = self.by_key.values().filter_map(|claim| claim.installed);
        let outside: Vec<_> = installed.filter(|value| value.service >= before).collect();
        outside.into_iter().for_each(|value| self.lead(None, Some(value)));
    }

    /// Whether the maps have room for those of `frontends` that are not yet in them.
    pub fn room_for(&self, frontends: &[Frontend]) -> Result<(), Full> {
        let mut more = [0; 2];
        for frontend in frontends.iter().filter(|f| !self.by_key.contains_key(&f.key)) {
            more[family(&frontend.key)] += 1;
        }
        for (slot, map) in ["FRONTENDS4", "FRONTENDS6"].into_iter().enumerate() {
            if more[slot] > 0 && self.occupied[slot] + more[slot] > self.capacity {
                return Err(Full { map, capacity: self.capacity });
            }
        }
        Ok(())
    }

    /// Records that `port` claims `frontend`.
    pub fn claim(&mut self, ports: &[Option<Port>], port: u32, frontend: Frontend) {
        let occupied = &mut self.occupied;
        let claim = self.by_key.entry(frontend.key).or_insert_with(|| {
            occupied[family(&frontend.key)] += 1;
            Claim::default()
        });
        let mut candidate = Claimant { port, kind: frontend.kind };
        if let Some(winner) = &mut claim.winner {
            if precedence(ports, &candidate) < precedence(ports, winner) {
                std::mem::swap(winner, &mut candidate);
            }
            claim.rivals.push(candidate);
        } else {
            claim.winner = Some(candidate);
        }
        Self::touch(&mut self.touched, frontend.key, claim);
    }

    /// Takes the claim of `port` back; the best of its rivals, if any, has the frontend then.
    pub fn release(&mut self, ports: &[Option<Port>], port: u32, frontend: Frontend) {
        let Some(claim) = self.by_key.get_mut(&frontend.key) else { return };
        let claimant = Claimant { port, kind: frontend.kind };
        if claim.winner == Some(claimant) {
            let best =
                claim.rivals.iter().enumerate().min_by_key(|(_, c)| precedence(ports, c)).map(|(i, _)| i);
            claim.winner = best.map(|i| claim.rivals.swap_remove(i));
            Self::touch(&mut self.touched, frontend.key, claim);
        } else if let Some(place) = claim.rivals.iter().position(|c| *c == claimant) {
            claim.rivals.swap_remove(place);
        }
    }

    /// Records what a former agent left in the kernel.
    pub fn adopt(&mut self, key: FrontendKey, value: FrontendValue) {
        let claim = self.by_key.entry(key).or_default();
        let before = claim.installed.replace(value);
        if before.is_none() {
            self.occupied[family(&key)] += 1;
        }
        self.lead(before, Some(value));
    }

    /// Marks every frontend that the kernel holds and nobody claims, so that it is removed.
    pub fn touch_unclaimed(&mut self) {
        for (key, claim) in self.by_key.iter_mut().filter(|(_, claim)| claim.winner.is_none()) {
            Self::touch(&mut self.touched, *key, claim);
        }
    }

    fn touch(touched: &mut Vec<FrontendKey>, key: FrontendKey, claim: &mut Claim) {
        if !claim.touched {
            claim.touched = true;
            touched.push(key);
        }
    }

    /// Turns what was touched into deletes and puts. Until `all` claims are known, a frontend that the kernel holds
    /// stays with whoever has it: the one that comes first may not be the one that has it in the end.
    pub fn settle(
        &mut self,
        all: bool,
        deletes: &mut Vec<FrontendKey>,
        puts: &mut Vec<(FrontendKey, FrontendValue)>,
    ) {
        for key in std::mem::take(&mut self.touched) {
            let Some(claim) = self.by_key.get_mut(&key) else { continue };
            claim.touched = false;
            match (claim.winner.map(|winner| winner.value(&key)), claim.installed) {
                (Some(wanted), Some(installed)) if installed != wanted && !all => {
                    Self::touch(&mut self.touched, key, claim);
                }
                (Some(wanted), installed) if installed != Some(wanted) => puts.push((key, wanted)),
                (None, Some(_)) => deletes.push(key),
                (None, None) => Self::forget(&mut self.by_key, &mut self.occupied, &key),
                (Some(_), _) => {}
            }
        }
    }

    /// Notes that the kernel has removed a frontend.
    pub fn deleted(&mut self, key: &FrontendKey) {
        if let Some(claim) = self.by_key.get_mut(key) {
            let before = claim.installed.take();
            if claim.winner.is_none() && !claim.touched {
                Self::forget(&mut self.by_key, &mut self.occupied, key);
            }
            self.lead(before, None);
        }
    }

    /// Notes that the kernel holds a frontend with this value.
    pub fn put(&mut self, key: &FrontendKey, value: FrontendValue) {
        if let Some(claim) = self.by_key.get_mut(key) {
            let before = claim.installed.replace(value);
            self.lead(before, Some(value));
        }
    }

    /// Notes that the kernel did not carry out an operation on a frontend: it is planned again.
    pub fn refused(&mut self, key: FrontendKey) {
        if let Some(claim) = self.by_key.get_mut(&key) {
            Self::touch(&mut self.touched, key, claim);
        }
    }

    fn forget(by_key: &mut AHashMap<FrontendKey, Claim>, occupied: &mut [u32; 2], key: &FrontendKey) {
        if by_key.remove(key).is_some() {
            occupied[family(key)] -= 1;
        }
    }

    /// Whether a program can still find `port` through a frontend.
    pub fn leads_to(&self, port: u32) -> bool {
        self.leading.get(port as usize).is_some_and(|count| *count > 0)
    }

    /// Keeps `leading` true when an installed value changes.
    fn lead(&mut self, before: Option<FrontendValue>, after: Option<FrontendValue>) {
        let services = self.services;
        let leads = |v: &FrontendValue| v.kind().leads_to_service() && v.service < services;
        if let Some(value) = before.filter(leads) {
            self.leading[value.service as usize] -= 1;
        }
        if let Some(value) = after.filter(leads) {
            let place = value.service as usize;
            if self.leading.len() <= place {
                self.leading.resize(place + 1, 0);
            }
            self.leading[place] += 1;
        }
    }

    /// Whether something waits to be settled.
    pub const fn is_unsettled(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Keys of IPv4 and of IPv6, wanted or installed.
    pub const fn occupied(&self) -> [u32; 2] {
        self.occupied
    }

    /// Frontends that more than one service port claims, ascending.
    pub fn conflicts(&self, ports: &[Option<Port>]) -> Vec<Conflict> {
        let id = |c: &Claimant| ports.get(c.port as usize).and_then(Option::as_ref).map(|p| p.id.clone());
        let mut found = Vec::new();
        for (key, claim) in &self.by_key {
            let Some(winner) = claim.winner.as_ref().and_then(id) else { continue };
            // All ports of a Service say alike that its address is a ClusterIP.
            let contested = |l: &PortId| key.scope() != Scope::Address as u8 || l.service != winner.service;
            for loser in claim.rivals.iter().filter_map(id).filter(contested) {
                found.push(Conflict { key: *key, winner: winner.clone(), loser });
            }
        }
        found.sort_unstable();
        found
    }
}

impl Claimant {
    /// The value of the frontend while this claimant has it. The entry that only says what an address is
    /// names no service port: it is the same whoever has it.
    const fn value(self, key: &FrontendKey) -> FrontendValue {
        let service = if self.kind.leads_to_service() { self.port } else { 0 };
        FrontendValue::new(service, self.kind, key.check())
    }
}

/// A ClusterIP cannot be taken away by another Service's external IP, nor a load balancer's address, which
/// only the load balancer's controller writes (CVE-2020-8554); among equals the older Service wins, then the
/// smaller name.
fn precedence<'a>(ports: &'a [Option<Port>], claimant: &Claimant) -> (u8, i64, Option<&'a PortId>) {
    let port = ports.get(claimant.port as usize).and_then(Option::as_ref);
    let rank = match claimant.kind {
        FrontendFlags::CLUSTER_IP | FrontendFlags::ADDRESS_ONLY => 0,
        FrontendFlags::LOAD_BALANCER => 1,
        _ => 2,
    };
    (rank, port.map_or(i64::MAX, |p| p.created), port.map(|p| &p.id))
}
