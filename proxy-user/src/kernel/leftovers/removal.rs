//! Removing what kube-proxy left: each table of a family in one step, so that no rule ever leads to a chain that has
//! half gone. The order is that of [`units`]: what brings packets to its translation goes before what it needs.

use super::legacy::Table;
use super::names::{COUNTERS, TABLES, is_set};
use super::select::Selection;
use super::trace::{Remark, Trace};
use super::{DEVICE, Family, NAT, TABLE, Tool, tool_name};
use crate::kernel::sys::{
    NfDeletion, NfTables, Xtable, XtablesLock, counters, device_kind, ipsets, remove_counter, remove_device,
    remove_ipset,
};
use std::io;

/// How often a table is read again that somebody else has changed meanwhile.
const ATTEMPTS: u32 = 8;

/// NFPROTO_INET of linux/netfilter.h: nftables' family of both.
const INET: u8 = 1;

/// What was found or removed, and what was not.
#[derive(Debug, Default)]
pub struct Removal {
    /// What goes, or has gone.
    pub traces: Vec<Trace>,
    /// What the user should know.
    pub remarks: Vec<Remark>,
    /// What could not be looked at or removed.
    pub failures: Vec<RemovalError>,
}

/// One step failed; what belongs to it is all still there.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct RemovalError {
    /// The table, set or device.
    pub what: String,
    /// What the kernel said.
    pub source: io::Error,
}

/// What is removed in one step.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Unit {
    Device,
    Chains(Tool, Family, &'static str),
    Table(Family),
    Set(String),
    Counter(&'static str),
}

/// Looks for all that kube-proxy left in the network namespace of the calling thread, and changes nothing.
#[must_use]
pub fn find_kube_proxy() -> Removal {
    all(None)
}

/// Removes all that kube-proxy left in the network namespace of the calling thread. What could not be removed does not
/// keep the rest; a kube-proxy that runs makes it all again. `without_lock`: tables of the older iptables are rewritten
/// also where [`legacy_lock`] cannot be had.
#[must_use]
pub fn remove_kube_proxy(without_lock: bool) -> Removal {
    all(Some(Remove { without_lock }))
}

/// Whether the lock can be had that users of the older iptables take; it is not taken.
///
/// # Errors
/// Why not; names its file.
pub fn legacy_lock() -> io::Result<()> {
    XtablesLock::probe()
}

/// How to remove.
#[derive(Clone, Copy)]
struct Remove {
    without_lock: bool,
}

fn all(remove: Option<Remove>) -> Removal {
    let mut done = Removal::default();
    let (units, unreadable) = units();
    done.failures.extend(unreadable);
    for unit in units {
        match unit.step(remove) {
            Ok((traces, remark)) => {
                done.traces.extend(traces);
                done.remarks.extend(remark);
            }
            Err(source) => done.failures.push(RemovalError { what: unit.to_string(), source }),
        }
    }
    done
}

/// The steps, in order; and why ipsets are not among them, if the kernel does not tell.
fn units() -> (Vec<Unit>, Option<RemovalError>) {
    // Without the device nothing is IPVS's any more; without nat nothing is translated, and what the table filter
    // lets pass for it is not missed.
    let mut units = vec![Unit::Device];
    for table in TABLES {
        for family in Family::BOTH {
            units.extend([Tool::Nft, Tool::Legacy].map(|tool| Unit::Chains(tool, family, table)));
        }
    }
    units.extend(Family::BOTH.map(Unit::Table));
    let (sets, error) = match ipsets() {
        Ok(sets) => (sets, None),
        Err(source) => (Vec::new(), Some(RemovalError { what: "ipsets".to_owned(), source })),
    };
    // Rules refer to these, which are gone by now.
    units.extend(sets.into_iter().filter(|set| is_set(set)).map(Unit::Set));
    units.extend(COUNTERS.map(Unit::Counter));
    (units, error)
}

type Step = (Vec<Trace>, Option<Remark>);

impl Unit {
    fn step(&self, how: Option<Remove>) -> io::Result<Step> {
        let remove = how.is_some();
        match self {
            Self::Device => device(remove),
            Self::Chains(Tool::Nft, family, table) => again(|| nft(*family, table, remove)),
            Self::Chains(Tool::Legacy, family, table) => again(|| legacy(*family, table, how)),
            Self::Table(family) => again(|| own_table(*family, remove)),
            Self::Set(name) => {
                if remove {
                    remove_ipset(name)?;
                }
                Ok((vec![Trace::Set(name.clone())], None))
            }
            Self::Counter(name) => {
                if !counters()?.iter().any(|counter| counter == name) {
                    return Ok(Step::default());
                }
                if remove {
                    remove_counter(name)?;
                }
                Ok((vec![Trace::Counter((*name).to_owned())], None))
            }
        }
    }
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device => write!(f, "device {DEVICE}"),
            Self::Chains(tool, family, table) => {
                write!(f, "kube-proxy's chains of {} -t {table}", tool_name(*tool, *family))
            }
            Self::Table(family) => Trace::Table(*family).fmt(f),
            Self::Set(name) => Trace::Set(name.clone()).fmt(f),
            Self::Counter(name) => Trace::Counter((*name).to_owned()).fmt(f),
        }
    }
}

/// Tries again while others change the same table.
fn again(mut step: impl FnMut() -> io::Result<Step>) -> io::Result<Step> {
    let mut attempt = 1;
    loop {
        match step() {
            Err(error) if attempt < ATTEMPTS && is_transient(&error) => attempt += 1,
            done => return done,
        }
    }
}

fn device(remove: bool) -> io::Result<Step> {
    let Some(kind) = device_kind(DEVICE)? else { return Ok(Step::default()) };
    if kind != "dummy" {
        return Err(io::Error::other(format!("it is of kind {kind:?}, and kube-proxy makes a dummy")));
    }
    if remove {
        remove_device(DEVICE)?;
    }
    Ok((vec![Trace::Device], Some(Remark::VirtualServers)))
}

/// Chains of iptables-nft.
fn nft(family: Family, table: &'static str, remove: bool) -> io::Result<Step> {
    let Some(mut tables) = NfTables::open()? else { return Ok(Step::default()) };
    if !tables.has_table(family.protocol(), table)? {
        return Ok(Step::default());
    }
    let generation = tables.generation()?;
    let chains = tables.chains(family.protocol(), table)?;
    let selection = Selection::of(table, &chains);
    if remove && !selection.is_empty() {
        let mut deletions: Vec<_> =
            selection.jumps.iter().map(|jump| NfDeletion::Rule(&jump.chain, jump.id)).collect();
        deletions.extend(selection.chains.iter().map(|chain| NfDeletion::Rules(chain)));
        deletions.extend(selection.chains.iter().map(|chain| NfDeletion::Chain(chain)));
        tables.delete(generation, family.protocol(), table, &deletions).map_err(
            |(place, error)| match place.and_then(|place| deletions.get(place)) {
                Some(refused) if !is_transient(&error) => io::Error::other(format!("{refused}: {error}")),
                _ => error,
            },
        )?;
    }
    let rules = |chain: &String| chains.get(chain).map_or(0, Vec::len);
    Ok(traces(Tool::Nft, family, table, &selection, rules))
}

/// Chains of iptables-legacy.
fn legacy(family: Family, name: &'static str, how: Option<Remove>) -> io::Result<Step> {
    let Some(table) = Xtable::open(family == Family::Ip6, name)? else { return Ok(Step::default()) };
    let rules = table.read()?;
    let unknown = || io::Error::other("its rules are laid out in a way that is not known");
    let parsed = Table::parse(&rules).ok_or_else(unknown)?;
    let chains = parsed.chains();
    let selection = Selection::of(name, &chains);
    if let (Some(how), false) = (how, selection.is_empty()) {
        let _lock = match XtablesLock::acquire() {
            // Somebody who has it is at work.
            Err(error) if how.without_lock && error.kind() != io::ErrorKind::TimedOut => None,
            lock => Some(lock?),
        };
        let (new, origins) = parsed.without(&selection).ok_or_else(unknown)?;
        // The kernel only refuses what was made of a table with another number of rules.
        if !parsed.is_still(&table.read()?) {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        table.replace(rules.count, &new, &origins)?;
    }
    // The entries that begin and end a chain are no rules.
    let count = |chain: &String| chains.get(chain).map_or(0, |rules| rules.len().saturating_sub(2));
    Ok(traces(Tool::Legacy, family, name, &selection, count))
}

/// The table of its nftables mode.
fn own_table(family: Family, remove: bool) -> io::Result<Step> {
    let Some(mut tables) = NfTables::open()? else { return Ok(Step::default()) };
    if !tables.has_table(family.protocol(), TABLE)? {
        return Ok(Step::default());
    }
    let generation = tables.generation()?;
    let others = tables.translating_tables(family.protocol())?.iter().any(|table| table != TABLE)
        || !tables.translating_tables(INET)?.is_empty()
        || Xtable::open(family == Family::Ip6, NAT)?.is_some();
    if remove {
        let deletions = [NfDeletion::Table];
        tables.delete(generation, family.protocol(), TABLE, &deletions).map_err(|(_, error)| error)?;
    }
    Ok((vec![Trace::Table(family)], (!others).then_some(Remark::LastUser(family))))
}

/// The kernel's words for "it changed since you looked": ERESTART of nfnetlink, EAGAIN of ip_tables.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ERESTART | libc::EAGAIN))
}

fn traces(
    tool: Tool,
    family: Family,
    table: &'static str,
    selection: &Selection,
    rules: impl Fn(&String) -> usize,
) -> Step {
    let chains = selection.chains.iter().map(|chain| Trace::Chain {
        tool,
        family,
        table,
        chain: chain.clone(),
        rules: rules(chain),
    });
    let jumps = selection.jumps.iter().map(|jump| Trace::Rule {
        tool,
        family,
        table,
        chain: jump.chain.clone(),
        to: jump.to.clone(),
    });
    let remark = selection.marked_by.clone().map(|by| Remark::Marked { tool, family, by });
    (jumps.chain(chains).collect(), remark)
}
