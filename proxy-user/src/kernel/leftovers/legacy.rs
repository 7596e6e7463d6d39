//! Rules of the older iptables without some of its chains. The kernel takes a table as one block, in which rules lead to
//! each other by offsets: what stays is copied byte for byte, and offsets are told anew.
//!
//! Layout: linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h, linux/netfilter/x_tables.h. Chains of hooks
//! begin where the table says, others with an entry whose target is called ERROR and holds the name; each ends with its policy
//! or return, and the last entry of the table is an ERROR that is called ERROR.

use super::select::{Chains, Rule, Selection};
use crate::kernel::sys::XtRules;
use std::collections::BTreeMap;
use std::ops::Range;
use zerocopy::FromBytes;

/// Chains of hooks, by the number of the hook (`NF_INET_*`).
const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// Offsets in an entry: of `target_offset`, which `next_offset` follows, and of what comes after the entry's head.
const FIELDS_V4: usize = 88;
const FIELDS_V6: usize = 140;
/// Where an entry counts packets and bytes (`struct xt_counters`), which the kernel does all the time.
const COUNTERS_V4: Range<usize> = 96..112;
const COUNTERS_V6: Range<usize> = 152..168;
/// Offsets in a target: its name, and what it holds.
const TARGET_NAME: Range<usize> = 2..31;
const TARGET_DATA: usize = 32;

/// One entry of the block.
struct Entry {
    range: Range<usize>,
    /// Which chain it is in.
    chain: usize,
    /// Where its verdict stands in the block and what it says, if that is an offset: a jump, or on to the next entry.
    verdict: Option<(usize, usize)>,
}

/// A table in parts.
pub struct Table<'a> {
    rules: &'a XtRules,
    entries: Vec<Entry>,
    /// Names, in the order of the block. The last one, of the entry that ends the table, is empty.
    chains: Vec<String>,
    /// Which chain's first rule has an offset.
    starts: BTreeMap<usize, usize>,
}

impl<'a> Table<'a> {
    /// Takes a table apart; `None` if it is laid out otherwise.
    pub fn parse(rules: &'a XtRules) -> Option<Self> {
        let fields = if rules.ipv6 { FIELDS_V6 } else { FIELDS_V4 };
        let block = &rules.block;
        let mut table = Self { rules, entries: Vec::new(), chains: Vec::new(), starts: BTreeMap::new() };
        let mut at = 0;
        while at < block.len() {
            let target = at + usize::from(u16_at(block, at + fields)?);
            let next = at + usize::from(u16_at(block, at + fields + 2)?);
            let data = block.get(target + TARGET_DATA..next)?;
            let name = text(block.get(target + TARGET_NAME.start..target + TARGET_NAME.end)?);
            if name == "ERROR" {
                let chain = text(data);
                let last = next == block.len();
                table.starts.insert(next, table.chains.len());
                table.chains.push(if last { String::new() } else { chain });
            } else if let Some(hook) = rules.hook_at(at) {
                table.starts.insert(at, table.chains.len());
                table.chains.push((*HOOKS.get(hook)?).to_owned());
            }
            let verdict = i32::read_from_prefix(data).ok().filter(|_| name.is_empty());
            let offset = verdict.and_then(|(verdict, _)| usize::try_from(verdict).ok());
            table.entries.push(Entry {
                range: at..next,
                chain: table.chains.len().checked_sub(1)?,
                verdict: offset.map(|offset| (target + TARGET_DATA, offset)),
            });
            at = next;
        }
        (table.entries.len() == rules.count as usize && table.chains.last()?.is_empty()).then_some(table)
    }

    /// Its chains. The entries that only begin or end one count as rules here.
    pub fn chains(&self) -> Chains {
        let mut chains: Chains = self.chains.iter().map(|name| (name.clone(), Vec::new())).collect();
        for (id, entry) in self.entries.iter().enumerate() {
            let rule = Rule {
                id: id as u64,
                jump: self.jump(entry).and_then(|chain| self.chains.get(chain)).cloned(),
            };
            if let Some(rules) = self.chains.get(entry.chain).and_then(|name| chains.get_mut(name)) {
                rules.push(rule);
            }
        }
        chains.remove("");
        chains
    }

    /// Whether the table is the same now, whatever it has counted since.
    pub fn is_still(&self, now: &XtRules) -> bool {
        let counters = if now.ipv6 { COUNTERS_V6 } else { COUNTERS_V4 };
        let parts = |block: &[u8], entry: &Range<usize>| {
            let entry = block.get(entry.clone())?;
            Some((entry.get(..counters.start)?.to_vec(), entry.get(counters.end..)?.to_vec()))
        };
        let same = |entry: &Entry| {
            let before = parts(&self.rules.block, &entry.range);
            before.is_some() && before == parts(&now.block, &entry.range)
        };
        let shape = |rules: &XtRules| {
            (rules.ipv6, rules.hooks, rules.entries, rules.underflows, rules.count, rules.block.len())
        };
        shape(self.rules) == shape(now) && self.entries.iter().all(same)
    }

    /// The table without what goes, and for each entry that stays its place in the old one. `None` where the block would
    /// say nonsense.
    pub fn without(&self, selection: &Selection) -> Option<(XtRules, Vec<usize>)> {
        let stays = |(id, entry): &(usize, &Entry)| {
            let chain = self.chains.get(entry.chain);
            !chain.is_some_and(|chain| selection.chains.contains(chain))
                && !selection.jumps.iter().any(|jump| jump.id == *id as u64)
        };
        let kept: Vec<(usize, &Entry)> = self.entries.iter().enumerate().filter(stays).collect();
        // Where what stood at an offset, or the next of its chain that stays, stands now.
        let mut moved = BTreeMap::new();
        let mut block = Vec::with_capacity(self.rules.block.len());
        for (_, entry) in &kept {
            moved.insert(entry.range.start, block.len());
            block.extend_from_slice(self.rules.block.get(entry.range.clone())?);
        }
        let now = |offset: usize| moved.range(offset..).next().map(|(_, now)| *now);
        for (_, entry) in &kept {
            let Some((at, offset)) = entry.verdict else { continue };
            let own = *moved.get(&entry.range.start)?;
            let at = own + (at - entry.range.start);
            // On to the next entry, which may be another one now.
            let offset = if offset == entry.range.end { own + entry.range.len() } else { now(offset)? };
            block.get_mut(at..at + 4)?.copy_from_slice(&i32::try_from(offset).ok()?.to_ne_bytes());
        }
        let all = |offsets: [u32; 5]| {
            let mut new = offsets;
            for (hook, offset) in
                new.iter_mut().enumerate().filter(|(hook, _)| self.rules.hooks & 1 << hook != 0)
            {
                *offset = u32::try_from(now(*offsets.get(hook)? as usize)?).ok()?;
            }
            Some(new)
        };
        let rules = XtRules {
            entries: all(self.rules.entries)?,
            underflows: all(self.rules.underflows)?,
            count: u32::try_from(kept.len()).ok()?,
            block,
            ..*self.rules
        };
        Some((rules, kept.into_iter().map(|(id, _)| id).collect()))
    }

    /// The chain that an entry leads to.
    fn jump(&self, entry: &Entry) -> Option<usize> {
        let (_, offset) = entry.verdict.filter(|(_, offset)| *offset != entry.range.end)?;
        self.starts.get(&offset).copied()
    }
}

impl XtRules {
    fn hook_at(&self, offset: usize) -> Option<usize> {
        (0..self.entries.len()).find(|hook| {
            self.hooks & 1 << hook != 0 && self.entries.get(*hook).is_some_and(|at| *at as usize == offset)
        })
    }
}

fn u16_at(block: &[u8], at: usize) -> Option<u16> {
    u16::read_from_prefix(block.get(at..)?).ok().map(|(value, _)| value)
}

/// Up to the first zero byte.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::leftovers::select::Jump;

    const HEAD: usize = 112;
    const RETURN: i32 = -5;
    const ACCEPT: i32 = -2;

    /// An entry of IPv4 with a target: its name and what it holds.
    fn entry(name: &str, data: &[u8]) -> Vec<u8> {
        let mut entry = vec![0; HEAD + TARGET_DATA];
        entry[HEAD + 2..HEAD + 2 + name.len()].copy_from_slice(name.as_bytes());
        entry.extend(data);
        entry.resize(entry.len().next_multiple_of(8), 0);
        entry[FIELDS_V4..FIELDS_V4 + 2].copy_from_slice(&(HEAD as u16).to_ne_bytes());
        let next = entry.len() as u16;
        entry[FIELDS_V4 + 2..FIELDS_V4 + 4].copy_from_slice(&next.to_ne_bytes());
        entry
    }

    fn verdict(verdict: i32) -> Vec<u8> {
        entry("", &verdict.to_ne_bytes())
    }

    fn head(name: &str) -> Vec<u8> {
        let mut data = name.as_bytes().to_vec();
        data.resize(32, 0);
        entry("ERROR", &data)
    }

    const RULE: i32 = (HEAD + TARGET_DATA + 8) as i32;
    const BEGIN: i32 = (HEAD + TARGET_DATA + 32) as i32;

    /// OUTPUT: a rule without a target, jumps to GOES and STAYS, its policy. Then these chains, of one rule each.
    fn table() -> XtRules {
        let goes = 4 * RULE + BEGIN;
        let stays = goes + 2 * RULE + BEGIN;
        let entries = [
            verdict(RULE),
            verdict(goes),
            verdict(stays),
            verdict(ACCEPT),
            head("GOES"),
            verdict(stays),
            verdict(RETURN),
            head("STAYS"),
            verdict(ACCEPT),
            verdict(RETURN),
            head("ERROR"),
        ];
        let block = entries.concat();
        let underflow = 3 * RULE as u32;
        XtRules {
            ipv6: false,
            hooks: 1 << 3,
            entries: [0; 5],
            underflows: [0, 0, 0, underflow, 0],
            count: entries.len() as u32,
            block,
        }
    }

    #[test]
    fn a_table_is_taken_apart_into_chains() {
        let rules = table();
        let chains = Table::parse(&rules).unwrap().chains();
        let jumps = |chain: &str| chains[chain].iter().map(|rule| rule.jump.as_deref()).collect::<Vec<_>>();
        assert_eq!(chains.keys().collect::<Vec<_>>(), ["GOES", "OUTPUT", "STAYS"]);
        assert_eq!(jumps("OUTPUT"), [None, Some("GOES"), Some("STAYS"), None]);
        assert_eq!(jumps("GOES"), [None, Some("STAYS"), None]);
    }

    #[test]
    fn what_stays_leads_where_it_led() {
        let rules = table();
        let table = Table::parse(&rules).unwrap();
        let jump = Jump { chain: "OUTPUT".to_owned(), id: 1, to: "GOES".to_owned() };
        let selection = Selection { chains: ["GOES".to_owned()].into(), jumps: vec![jump], marked_by: None };
        let (new, origins) = table.without(&selection).unwrap();
        assert_eq!(origins, [0, 2, 3, 7, 8, 9, 10]);
        assert_eq!((new.count, new.entries, new.underflows), (7, [0; 5], [0, 0, 0, 2 * RULE as u32, 0]));
        let stays = 3 * RULE + BEGIN;
        // The first still goes on to what is next now.
        let wanted = [
            verdict(RULE),
            verdict(stays),
            verdict(ACCEPT),
            head("STAYS"),
            verdict(ACCEPT),
            verdict(RETURN),
            head("ERROR"),
        ];
        assert_eq!(new.block, wanted.concat());
        let chains = Table::parse(&new).unwrap().chains();
        assert_eq!(chains["OUTPUT"][1].jump.as_deref(), Some("STAYS"));
        let (same, origins) = table.without(&Selection::default()).unwrap();
        assert_eq!((same, origins.len()), (rules.clone(), rules.count as usize));
    }

    #[test]
    fn another_rule_in_the_place_of_one_is_seen_and_what_is_counted_is_not() {
        let rules = table();
        let table = Table::parse(&rules).unwrap();
        let mut counted = rules.clone();
        counted.block[COUNTERS_V4].fill(7);
        assert!(table.is_still(&rules) && table.is_still(&counted));
        // As many rules, of as many bytes: the number of entries, which the kernel compares, is the same.
        for at in [0, COUNTERS_V4.start - 1, COUNTERS_V4.end, rules.block.len() - 1] {
            let mut other = rules.clone();
            other.block[at] ^= 1;
            assert!(!table.is_still(&other), "{at}");
        }
        assert!(!table.is_still(&XtRules { underflows: [1; 5], ..rules.clone() }));
    }

    #[test]
    fn a_block_that_lies_is_not_taken_apart() {
        let rules = table();
        for length in 1..rules.block.len() {
            let cut = XtRules { block: rules.block[..length].to_vec(), ..rules.clone() };
            assert!(Table::parse(&cut).is_none(), "{length} bytes");
        }
        for lie in [0_u16, 1, u16::MAX] {
            let mut other = rules.clone();
            other.block[FIELDS_V4 + 2..FIELDS_V4 + 4].copy_from_slice(&lie.to_ne_bytes());
            assert!(Table::parse(&other).is_none(), "{lie}");
        }
        assert!(Table::parse(&XtRules { count: 10, ..rules }).is_none());
    }
}
