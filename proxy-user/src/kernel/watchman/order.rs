//! Who runs before and after our program at one hook.

/// Programs of others at a hook where ours runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Neighbours {
    /// Ids of those that run before ours.
    pub before: Vec<u32>,
    /// Ids of those that run after ours.
    pub after: Vec<u32>,
}

impl Neighbours {
    /// Of programs in the order in which they run. Where ours does not run there is no before and after: all others are
    /// said to come before.
    pub fn of(order: &[u32], is_ours: impl Fn(u32) -> bool) -> Self {
        let first = order.iter().position(|id| is_ours(*id)).unwrap_or(order.len());
        let (before, rest) = order.split_at(first);
        let after = rest.iter().copied().filter(|id| !is_ours(*id)).collect();
        Self { before: before.to_vec(), after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_told_from_our_first_program() {
        let of = |order: &[u32]| Neighbours::of(order, |id| id == 7 || id == 8);
        assert_eq!(of(&[1, 7, 2]), Neighbours { before: vec![1], after: vec![2] });
        assert_eq!(of(&[7, 8]), Neighbours::default());
        assert_eq!(of(&[1, 2]), Neighbours { before: vec![1, 2], after: vec![] });
        assert_eq!(of(&[]), Neighbours::default());
    }
}
