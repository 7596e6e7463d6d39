//! The endpoints of a service, whichever of its slices lists them. They are kept in the order in which they
//! are selected and programmed, so that a change of one slice costs no sorting of the others.

use super::{HintsId, KnownEndpoint};
use smallvec::SmallVec;
use std::{cmp::Ordering, ops::Deref};

/// An endpoint and the slice that lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListedEndpoint {
    /// The endpoint.
    pub endpoint: KnownEndpoint,
    /// The slice, by its place in [`KnownSlices::iter`](super::KnownSlices::iter).
    pub slice: u32,
}

/// Ascending by address; those of one address in the order of their slices' names, and in one slice as it
/// lists them.
#[derive(Default, Debug)]
pub(super) struct Endpoints(Vec<ListedEndpoint>);

/// The number of no slice: of endpoints that are about to be removed.
const GONE: u32 = u32::MAX;

impl Endpoints {
    /// Makes what `slice` lists `wanted`, which ascends by address; false if it was that. `by_name` compares
    /// slices, and `release` is told the hints of each endpoint that was listed before.
    pub fn replace(
        &mut self,
        slice: u32,
        mut wanted: &[KnownEndpoint],
        by_name: impl Fn(u32, u32) -> Ordering,
        mut release: impl FnMut(HintsId),
    ) -> bool {
        let (mut changed, mut gone, mut come) = (false, false, SmallVec::<[_; 4]>::new());
        let listed = |endpoint: &KnownEndpoint| ListedEndpoint { endpoint: *endpoint, slice };
        for known in self.0.iter_mut().filter(|known| known.slice == slice) {
            let before = wanted.iter().take_while(|new| new.address < known.endpoint.address).count();
            come.extend(wanted[..before].iter().map(listed));
            wanted = &wanted[before..];
            release(known.endpoint.hints);
            match wanted {
                [new, rest @ ..] if new.address == known.endpoint.address => {
                    changed |= known.endpoint != *new;
                    known.endpoint = *new;
                    wanted = rest;
                }
                _ => (known.slice, gone) = (GONE, true),
            }
        }
        come.extend(wanted.iter().map(listed));
        if gone {
            self.0.retain(|known| known.slice != GONE);
        }
        if !come.is_empty() {
            self.merge(&come, by_name);
        }
        if gone || !come.is_empty() {
            self.fit();
        }
        changed || gone || !come.is_empty()
    }

    /// Forgets what `slice` lists, and calls the slice `last` by its number from now on.
    pub fn remove(&mut self, slice: u32, last: u32, mut release: impl FnMut(HintsId)) {
        self.0.retain_mut(|known| {
            if known.slice == slice {
                release(known.endpoint.hints);
                return false;
            }
            if known.slice == last {
                known.slice = slice;
            }
            true
        });
        self.fit();
    }

    /// Adds `come`, which is in order, each behind what it equals. From the end, so that nothing moves that
    /// stands before the first of them.
    fn merge(&mut self, come: &[ListedEndpoint], by_name: impl Fn(u32, u32) -> Ordering) {
        let is_after = |one: &ListedEndpoint, other: &ListedEndpoint| {
            let order = one.endpoint.address.cmp(&other.endpoint.address);
            order.then_with(|| by_name(one.slice, other.slice)).is_gt()
        };
        let (mut known, mut new) = (self.0.len(), come.len());
        self.0.reserve_exact(new);
        self.0.extend_from_slice(come);
        while known > 0 && new > 0 {
            let place = known + new - 1;
            if is_after(&self.0[known - 1], &come[new - 1]) {
                self.0[place] = self.0[known - 1];
                known -= 1;
            } else {
                self.0[place] = come[new - 1];
                new -= 1;
            }
        }
        self.0[..new].copy_from_slice(&come[..new]);
    }

    /// A cluster has very many of these lists: none keeps much more memory than it needs.
    fn fit(&mut self) {
        if self.0.capacity() > 2 * self.0.len() {
            self.0.shrink_to_fit();
        }
    }
}

impl Deref for Endpoints {
    type Target = [ListedEndpoint];

    fn deref(&self) -> &[ListedEndpoint] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Conditions;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, net::Ipv4Addr};

    /// Slices are named by their numbers, backwards.
    fn by_name(one: u32, other: u32) -> Ordering {
        other.cmp(&one)
    }

    fn endpoint((address, ready): (u8, bool)) -> KnownEndpoint {
        KnownEndpoint {
            address: Ipv4Addr::new(10, 244, 0, address).into(),
            conditions: Conditions { ready, ..Conditions::default() },
            local: false,
            hints: HintsId::NONE,
        }
    }

    fn listed(slice: u32) -> impl Fn(&KnownEndpoint) -> ListedEndpoint {
        move |endpoint| ListedEndpoint { endpoint: *endpoint, slice }
    }

    proptest! {
        /// Whatever is replaced in whatever order, the endpoints are those of all slices, sorted.
        #[test]
        fn as_if_sorted_anew(
            steps in prop::collection::vec((0..4_u32, prop::collection::vec((0..12_u8, any::<bool>()), 0..8)), 1..20)
        ) {
            let (mut endpoints, mut slices) = (Endpoints::default(), BTreeMap::new());
            for (slice, wanted) in steps {
                let mut wanted: Vec<_> = wanted.into_iter().map(endpoint).collect();
                wanted.sort_by_key(|endpoint| endpoint.address);
                let before = slices.insert(slice, wanted.clone()).unwrap_or_default();
                let mut released = 0;
                let changed = endpoints.replace(slice, &wanted, by_name, |_| released += 1);
                prop_assert_eq!(changed, before != wanted);
                prop_assert_eq!(released, before.len());
                let all = slices.iter().rev().flat_map(|(slice, known)| known.iter().map(listed(*slice)));
                let mut expected: Vec<_> = all.collect();
                expected.sort_by_key(|known| known.endpoint.address);
                prop_assert_eq!(&*endpoints, expected);
                prop_assert!(endpoints.0.capacity() <= 2 * endpoints.len());
            }
        }
    }

    #[test]
    fn the_last_slice_takes_the_number_of_one_that_is_removed() {
        let mut endpoints = Endpoints::default();
        for (slice, addresses) in [(0, &[1, 4][..]), (1, &[2]), (2, &[3])] {
            let wanted: Vec<_> = addresses.iter().map(|address| endpoint((*address, true))).collect();
            endpoints.replace(slice, &wanted, by_name, drop);
        }
        let mut released = 0;
        endpoints.remove(0, 2, |_| released += 1);
        assert_eq!(released, 2);
        let [second, third] = [2, 3].map(|address| endpoint((address, true)));
        assert_eq!(*endpoints, [listed(1)(&second), listed(0)(&third)]);
        endpoints.remove(1, 1, drop);
        assert_eq!(*endpoints, [listed(0)(&third)]);
    }
}
