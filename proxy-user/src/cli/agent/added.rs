//! What is new in a list that is told as a whole each time.

/// What of `now` is not in `before`, both of which ascend: one walk along both, however long they are.
pub fn added<'a, T: Ord>(before: &'a [T], now: &'a [T]) -> impl Iterator<Item = &'a T> + Clone {
    let mut rest = before;
    now.iter().filter(move |new| {
        while let [first, others @ ..] = rest
            && first < *new
        {
            rest = others;
        }
        rest.first() != Some(*new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{cell::Cell, cmp::Ordering, collections::BTreeSet};

    thread_local!(static COMPARED: Cell<usize> = const { Cell::new(0) });

    /// A number that counts how often it is compared.
    struct Counted(u32);

    impl Ord for Counted {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.with(|count| count.set(count.get() + 1));
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }

    impl Eq for Counted {}

    proptest! {
        #[test]
        fn it_is_the_difference(
            before in prop::collection::btree_set(0..40_u8, 0..20),
            now in prop::collection::btree_set(0..40_u8, 0..20),
        ) {
            let list = |set: &BTreeSet<u8>| set.iter().copied().collect::<Vec<_>>();
            let (from, to) = (list(&before), list(&now));
            let found: Vec<_> = added(&from, &to).copied().collect();
            prop_assert_eq!(found, now.difference(&before).copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn long_lists_are_walked_once() {
        let list = |odd| (0..50_000_u32).map(|number| Counted(number * 2 + odd)).collect::<Vec<_>>();
        let lists = [(list(0), list(0), 0), (list(0), list(1), 50_000), (list(0), Vec::new(), 0)];
        for (before, now, new) in lists {
            COMPARED.set(0);
            assert_eq!(added(&before, &now).count(), new);
            assert!(COMPARED.get() <= 3 * 50_000, "{} comparisons", COMPARED.get());
        }
    }
}
