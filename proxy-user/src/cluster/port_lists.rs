//! Port lists of slices, each distinct one once: a cluster has few of them and very many slices, so
//! comparing a slice's ports finds them in the cache.

use crate::model::SlicePort;
use ahash::AHashSet;
use std::sync::Arc;

/// Every port list that some slice has.
#[derive(Debug, Default)]
pub(super) struct PortLists(AHashSet<Arc<[SlicePort]>>);

impl PortLists {
    /// The shared list that equals `ports`.
    pub fn share(&mut self, ports: Vec<SlicePort>) -> Arc<[SlicePort]> {
        if let Some(known) = self.0.get(ports.as_slice()) {
            return Arc::clone(known);
        }
        let ports: Arc<[SlicePort]> = ports.into();
        self.0.insert(Arc::clone(&ports));
        ports
    }

    /// Takes back what [`Self::share`] gave; a list that nobody else has is forgotten.
    pub fn release(&mut self, ports: Arc<[SlicePort]>) {
        // Ours and the one that was given back.
        if Arc::strong_count(&ports) == 2 {
            self.0.remove(&ports);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;

    #[test]
    fn equal_lists_are_one_until_the_last_is_given_back() {
        let list = |port| vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port }];
        let mut lists = PortLists::default();
        let (first, second, other) = (lists.share(list(80)), lists.share(list(80)), lists.share(list(81)));
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
        lists.release(first);
        assert_eq!(lists.0.len(), 2);
        lists.release(second);
        lists.release(other);
        assert!(lists.0.is_empty());
    }
}
