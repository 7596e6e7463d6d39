//! Endpoints come and go while they are dialled: who is dialled by what the maps held a moment ago may fail for that alone.

use super::target::{self, Target};
use crate::view::PortView;

/// Looks at the maps at most; more changes than that are no accident.
const ATTEMPTS: usize = 5;

/// What came of a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried<D> {
    pub target: Target,
    pub dialled: D,
    /// It failed, and its endpoints are others by now: it says nothing.
    pub changed: bool,
}

/// Reads the targets right before each is dialled. Where one failed whose endpoints are no more the same, all are read and
/// dialled anew.
///
/// # Errors
/// Of reading or dialling as such.
pub fn try_lasting<T, F, E>(
    read: impl Fn() -> Result<Vec<PortView>, E>,
    mut dial: impl FnMut(&[Target]) -> Result<Vec<Result<T, F>>, E>,
) -> Result<Vec<Tried<Result<T, F>>>, E> {
    let mut attempt = 1;
    loop {
        let targets = target::targets(&read()?);
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let dialled = dial(&targets)?;
        let later = if dialled.iter().any(Result::is_err) { target::all(&read()?) } else { Vec::new() };
        let tried = targets.into_iter().zip(dialled).map(|(target, dialled)| {
            let changed = dialled.is_err() && !later.contains(&target);
            Tried { target, dialled, changed }
        });
        let tried: Vec<_> = tried.collect();
        if attempt == ATTEMPTS || !tried.iter().any(|tried| tried.changed) {
            return Ok(tried);
        }
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Family, ObjectName, PortId, Protocol, TrafficPolicy},
        view::{FrontendKind, FrontendView},
    };
    use std::{cell::Cell, net::Ipv4Addr};

    /// One Service whose endpoint ends in `last`.
    fn ports(last: u8) -> Vec<PortView> {
        let id = PortId {
            service: ObjectName::new("shop", "web"),
            port: "".into(),
            protocol: Protocol::Tcp,
            family: Family::V4,
        };
        let address = Some(Ipv4Addr::new(10, 96, 0, 1).into());
        vec![PortView {
            id: Some(id),
            index: 0,
            frontends: vec![FrontendView { kind: FrontendKind::ClusterIp, address, port: 80 }],
            cluster: vec![(Ipv4Addr::new(10, 244, 0, last), 8080).into()],
            local: Vec::new(),
            local_terminating: false,
            any_usable: true,
            internal_policy: TrafficPolicy::Cluster,
            external_policy: TrafficPolicy::Cluster,
            affinity_seconds: None,
            source_ranges: Vec::new(),
            health_check_node_port: None,
        }]
    }

    /// The endpoint is another one at each look before `settled`; who is dialled answers if the maps are the same after it,
    /// and `works`. Gives what came of it, and how often it was dialled.
    fn roll(settled: u8, works: bool) -> (Tried<Result<(), ()>>, usize) {
        let (looks, dials) = (Cell::new(0), Cell::new(0));
        let read = || {
            looks.set(looks.get() + 1);
            Ok::<_, ()>(ports(looks.get().min(settled)))
        };
        let dial = |targets: &[Target]| {
            dials.set(dials.get() + 1);
            let is_now = targets == target::targets(&ports(looks.get().saturating_add(1).min(settled)));
            Ok(vec![if is_now && works { Ok(()) } else { Err(()) }])
        };
        (try_lasting(read, dial).unwrap().remove(0), dials.get())
    }

    #[test]
    fn only_endpoints_that_stay_are_held_against_the_node() {
        let (tried, dials) = roll(4, true);
        assert_eq!((tried.dialled, tried.changed, dials), (Ok(()), false, 3), "a rollout that ends");
        let (tried, dials) = roll(1, false);
        assert_eq!(
            (tried.dialled, tried.changed, dials),
            (Err(()), false, 1),
            "a node that does not balance"
        );
        let (tried, dials) = roll(u8::MAX, true);
        assert_eq!((tried.dialled, tried.changed, dials), (Err(()), true, ATTEMPTS), "one that does not end");
    }
}
