//! What differs between the endpoints that a service port has and those that it should have.

use super::{
    Membership,
    port::{Held, Which},
    spec::Member,
};
use std::{cmp::Ordering, ops::Range};

/// The range of `held` without what both lists begin with and end with.
pub(super) fn difference(held: &[Held], wanted: &[Member]) -> Range<usize> {
    let same =
        |(held, member): &(&Held, &Member)| held.member == **member && held.flags == member.backend_flags();
    let start = held.iter().zip(wanted).take_while(same).count();
    let (held_rest, wanted_rest) = (&held[start..], &wanted[start..]);
    let end = held_rest.iter().rev().zip(wanted_rest.iter().rev()).take_while(same).count();
    start..held.len() - end
}

/// The difference between what a service port holds and what it should hold.
#[derive(Default)]
pub(super) struct Change {
    pub next: Vec<Held>,
    /// Members of `next` that need a backend, by place.
    pub fresh: Vec<usize>,
    /// Backends that leave the service port.
    pub retired: Vec<u32>,
    pub cluster: SetChange,
    pub local: SetChange,
}

/// What leaves and enters one set.
#[derive(Default)]
pub(super) struct SetChange {
    pub gone: Vec<u32>,
    /// By place in `next`: the backend of a fresh member is not yet known.
    pub come: Vec<usize>,
}

impl Change {
    /// Walks the two ascending lists side by side. Without `additions`, only removals are kept, and an
    /// endpoint of which other facts are known now stays as it was.
    pub fn between(held: &[Held], wanted: &[Member], additions: bool) -> Self {
        let mut change = Self { next: Vec::with_capacity(wanted.len()), ..Self::default() };
        let (mut old, mut new) = (held.iter().peekable(), wanted.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(held), Some(member)) => held.member.key().cmp(&member.key()),
            };
            let had = if order.is_le() { old.next() } else { None };
            let wants = if order.is_ge() { new.next() } else { None };
            match (had, wants) {
                // What is known of an endpoint is part of its backend: another fact, another backend.
                // Without room for that one, the old one goes on serving.
                (Some(held), Some(member)) if held.member.flags == member.flags || !additions => {
                    change.keep(*held, member.sets, additions);
                }
                (had, wants) => {
                    if let Some(held) = had {
                        change.drop(*held);
                    }
                    // Nobody was ever sent to an endpoint that is new and in neither set.
                    if let Some(member) = wants.filter(|member| additions && !member.sets.is_none()) {
                        change.add(*member);
                    }
                }
            }
        }
        change
    }

    pub fn set(&mut self, which: Which) -> &mut SetChange {
        match which {
            Which::Cluster => &mut self.cluster,
            Which::Local => &mut self.local,
        }
    }

    fn keep(&mut self, mut held: Held, sets: Membership, additions: bool) {
        let was = held.member;
        held.member.sets = if additions {
            sets
        } else {
            Membership { cluster: was.sets.cluster && sets.cluster, local: was.sets.local && sets.local }
        };
        let place = self.next.len();
        for which in Which::BOTH {
            match (which.has(&was), which.has(&held.member)) {
                (true, false) => self.set(which).gone.push(held.backend),
                (false, true) => self.set(which).come.push(place),
                _ => {}
            }
        }
        self.next.push(held);
    }

    fn drop(&mut self, held: Held) {
        for which in Which::BOTH.into_iter().filter(|w| w.has(&held.member)) {
            self.set(which).gone.push(held.backend);
        }
        self.retired.push(held.backend);
    }

    fn add(&mut self, member: Member) {
        let place = self.next.len();
        for which in Which::BOTH.into_iter().filter(|w| w.has(&member)) {
            self.set(which).come.push(place);
        }
        self.fresh.push(place);
        self.next.push(Held { member, backend: u32::MAX, flags: member.backend_flags() });
    }
}
