//! What of a table goes: kube-proxy's chains, and the rules of others that lead into them.

use super::names::{MARK, MASQUERADE, is_chain};
use std::collections::{BTreeMap, BTreeSet};

/// The chains of a table by name, with their rules in order.
pub type Chains = BTreeMap<String, Vec<Rule>>;

/// A rule, as far as it matters here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// nf_tables: its handle. ip_tables: its place among the entries of the table.
    pub id: u64,
    /// The chain that it leads to.
    pub jump: Option<String>,
}

/// A rule of a chain that stays, which leads to one that goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Jump {
    /// The chain that it is in.
    pub chain: String,
    /// See [`Rule::id`].
    pub id: u64,
    /// The chain that it leads to.
    pub to: String,
}

/// What goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// Chains.
    pub chains: BTreeSet<String>,
    /// Rules elsewhere.
    pub jumps: Vec<Jump>,
    /// A chain of somebody else's that marks packets by KUBE-MARK-MASQ, which therefore stays, with the chain that
    /// masquerades them.
    pub marked_by: Option<String>,
}

impl Selection {
    /// Chooses.
    pub fn of(table: &str, chains: &Chains) -> Self {
        let mut own: BTreeSet<String> =
            chains.keys().filter(|chain| is_chain(table, chain)).cloned().collect();
        let others = || chains.iter().filter(|(chain, _)| !is_chain(table, chain));
        let marks = |rule: &Rule| rule.jump.as_deref() == Some(MARK);
        let marked_by = others()
            .find(|(_, rules)| own.contains(MARK) && rules.iter().any(marks))
            .map(|(chain, _)| chain.clone());
        if marked_by.is_some() {
            own.remove(MARK);
            own.remove(MASQUERADE);
        }
        let mut jumps = Vec::new();
        for (chain, rules) in chains.iter().filter(|(chain, _)| !own.contains(*chain)) {
            jumps.extend(rules.iter().filter_map(|rule| {
                let to = rule.jump.clone().filter(|to| own.contains(to))?;
                Some(Jump { chain: chain.clone(), id: rule.id, to })
            }));
        }
        Self { chains: own, jumps, marked_by }
    }

    /// Whether nothing does.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.jumps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(text: &[(&str, &[&str])]) -> Chains {
        let rule = |(id, to): (usize, &&str)| Rule {
            id: id as u64,
            jump: (!to.is_empty()).then(|| (*to).to_owned()),
        };
        text.iter()
            .map(|(chain, jumps)| ((*chain).to_owned(), jumps.iter().enumerate().map(rule).collect()))
            .collect()
    }

    #[test]
    fn chains_go_with_the_rules_that_lead_to_them() {
        let found = Selection::of(
            "nat",
            &chains(&[
                ("KUBE-SERVICES", &["KUBE-SVC-A"]),
                ("KUBE-SVC-A", &["KUBE-MARK-MASQ"]),
                ("KUBE-MARK-MASQ", &[""]),
                ("KUBE-POSTROUTING", &[""]),
                ("OUTPUT", &["", "CNI-HOSTPORT-DNAT", "KUBE-SERVICES"]),
                ("POSTROUTING", &["KUBE-POSTROUTING", "FLANNEL-POSTRTG"]),
                ("FLANNEL-POSTRTG", &[""]),
                ("CNI-HOSTPORT-DNAT", &[]),
            ]),
        );
        let own = ["KUBE-MARK-MASQ", "KUBE-POSTROUTING", "KUBE-SERVICES", "KUBE-SVC-A"];
        assert!(found.chains.iter().eq(own.iter()), "{found:?}");
        let jump = |chain: &str, id, to: &str| Jump { chain: chain.to_owned(), id, to: to.to_owned() };
        assert_eq!(
            found.jumps,
            [jump("OUTPUT", 2, "KUBE-SERVICES"), jump("POSTROUTING", 0, "KUBE-POSTROUTING")]
        );
        assert_eq!(found.marked_by, None);
    }

    #[test]
    fn what_others_mark_packets_with_stays_with_what_masquerades_them() {
        let found = Selection::of(
            "nat",
            &chains(&[
                ("KUBE-SERVICES", &["KUBE-MARK-MASQ"]),
                ("KUBE-MARK-MASQ", &[""]),
                ("KUBE-POSTROUTING", &[""]),
                ("POSTROUTING", &["KUBE-POSTROUTING"]),
                ("CNI-DN-1", &["KUBE-MARK-MASQ"]),
            ]),
        );
        assert!(found.chains.iter().eq(["KUBE-SERVICES"].iter()), "{found:?}");
        assert_eq!((found.jumps, found.marked_by.as_deref()), (vec![], Some("CNI-DN-1")));
    }

    #[test]
    fn nothing_of_a_table_without_it() {
        assert!(
            Selection::of("filter", &chains(&[("INPUT", &["KUBE-FIREWALL"]), ("KUBE-FIREWALL", &[""])]))
                .is_empty()
        );
    }
}
