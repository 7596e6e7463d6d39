//! Chains and rules of nf_tables, listed by table and deleted in one transaction: what iptables-nft makes is there
//! too. Constants are those of include/uapi/linux/netfilter/nf_tables.h.

use super::netfilter::{NFNL_SUBSYS_NFTABLES, NfTables, request};
use super::netlink::{attributes, push_attribute};
use crate::kernel::leftovers::{Chains, Rule};
use std::fmt;
use std::io;
use zerocopy::FromBytes;

/// include/uapi/linux/netfilter/nfnetlink.h: NLMSG_MIN_TYPE and the next.
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFNL_BATCH_GENID: u16 = 1;

const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_GETCHAIN: u16 = 4;
const NFT_MSG_DELCHAIN: u16 = 5;
const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_DELRULE: u16 = 8;
const NFT_MSG_GETGEN: u16 = 16;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_GEN_ID: u16 = 1;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_IMMEDIATE_DATA: u16 = 2;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const NFT_JUMP: i32 = -3;
const NFT_GOTO: i32 = -4;

/// A message of the kernel's begins with `struct nfgenmsg`.
const HEAD: usize = 4;

/// One thing to delete, of a family and a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NfDeletion<'a> {
    /// The table with all that is in it.
    Table,
    /// Every rule of a chain.
    Rules(&'a str),
    /// One rule of a chain, by its handle.
    Rule(&'a str, u64),
    /// A chain, to which no rule may lead any more.
    Chain(&'a str),
}

impl NfTables {
    /// The generation of the ruleset: it changes with every change of anybody's.
    ///
    /// # Errors
    /// What the conversation fails of.
    pub fn generation(&mut self) -> io::Result<u32> {
        let found = self.0.get(kind(NFT_MSG_GETGEN), &request(0, &[]), |payload| {
            let value = attribute(payload.get(HEAD..)?, NFTA_GEN_ID)?;
            Some(u32::from_be_bytes(value.try_into().ok()?))
        })?;
        found.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The chains of a table with their rules in order; empty if there is no such table.
    ///
    /// # Errors
    /// What the conversation fails of.
    pub fn chains(&mut self, family: u8, table: &str) -> io::Result<Chains> {
        let mut chains = Chains::default();
        let names = self.0.dump(kind(NFT_MSG_GETCHAIN), &request(family, &[]), |_, payload| {
            let rest = payload.get(HEAD..)?;
            (text(attribute(rest, NFTA_CHAIN_TABLE)?) == table)
                .then(|| Some(text(attribute(rest, NFTA_CHAIN_NAME)?)))?
        })?;
        chains.extend(names.into_iter().map(|name| (name, Vec::new())));
        // The kernel lists those of the table alone.
        let of_table = request(family, &[(NFTA_RULE_TABLE, table)]);
        let rules = match self.0.dump(kind(NFT_MSG_GETRULE), &of_table, |_, payload| rule(payload, table)) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Vec::new(),
            rules => rules?,
        };
        for (chain, rule) in rules {
            chains.entry(chain).or_default().push(rule);
        }
        Ok(chains)
    }

    /// The tables of a family that have a chain of type nat, which is what makes nf_conntrack translate.
    ///
    /// # Errors
    /// What the conversation fails of.
    pub fn translating_tables(&mut self, family: u8) -> io::Result<Vec<String>> {
        self.0.dump(kind(NFT_MSG_GETCHAIN), &request(family, &[]), |_, payload| {
            let rest = payload.get(HEAD..)?;
            let nat = text(attribute(rest, NFTA_CHAIN_TYPE)?) == "nat";
            nat.then(|| attribute(rest, NFTA_CHAIN_TABLE).map(text))?
        })
    }

    /// Deletes all of it or nothing, and nothing if the ruleset is no longer of that generation.
    ///
    /// # Errors
    /// ERESTART: it is of another one. Else what the kernel says, with the place of what it refused.
    pub fn delete(
        &mut self,
        generation: u32,
        family: u8,
        table: &str,
        deletions: &[NfDeletion<'_>],
    ) -> Result<(), (Option<usize>, io::Error)> {
        // res_id names the subsystem, in network byte order.
        let edge = [&[0, 0][..], &NFNL_SUBSYS_NFTABLES.to_be_bytes()].concat();
        let mut begin = edge.clone();
        push_attribute(&mut begin, NFNL_BATCH_GENID, &generation.to_be_bytes());
        let mut requests = vec![(NFNL_MSG_BATCH_BEGIN, begin)];
        requests.extend(deletions.iter().map(|deletion| deletion.request(family, table)));
        requests.push((NFNL_MSG_BATCH_END, edge));
        self.0
            .batch(&requests)
            .map_err(|(place, error)| (place.and_then(|place| place.checked_sub(1)), error))
    }
}

impl fmt::Display for NfDeletion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => f.write_str("the table"),
            Self::Rules(chain) => write!(f, "rules of chain {chain}"),
            Self::Rule(chain, handle) => write!(f, "rule {handle} of chain {chain}"),
            Self::Chain(chain) => write!(f, "chain {chain}"),
        }
    }
}

impl NfDeletion<'_> {
    fn request(&self, family: u8, table: &str) -> (u16, Vec<u8>) {
        match self {
            Self::Table => (kind(NFT_MSG_DELTABLE), request(family, &[(NFTA_TABLE_NAME, table)])),
            Self::Rules(chain) => {
                let names = [(NFTA_RULE_TABLE, table), (NFTA_RULE_CHAIN, *chain)];
                (kind(NFT_MSG_DELRULE), request(family, &names))
            }
            Self::Rule(chain, handle) => {
                let mut bytes = request(family, &[(NFTA_RULE_TABLE, table), (NFTA_RULE_CHAIN, *chain)]);
                push_attribute(&mut bytes, NFTA_RULE_HANDLE, &handle.to_be_bytes());
                (kind(NFT_MSG_DELRULE), bytes)
            }
            Self::Chain(chain) => {
                let names = [(NFTA_CHAIN_TABLE, table), (NFTA_CHAIN_NAME, *chain)];
                (kind(NFT_MSG_DELCHAIN), request(family, &names))
            }
        }
    }
}

const fn kind(message: u16) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | message
}

/// A rule of the table, and the chain that it is in.
fn rule(payload: &[u8], table: &str) -> Option<(String, Rule)> {
    let rest = payload.get(HEAD..)?;
    if text(attribute(rest, NFTA_RULE_TABLE)?) != table {
        return None;
    }
    let id = u64::from_be_bytes(attribute(rest, NFTA_RULE_HANDLE)?.try_into().ok()?);
    let expressions = attribute(rest, NFTA_RULE_EXPRESSIONS).unwrap_or_default();
    let jump =
        attributes(expressions).filter(|(kind, _)| *kind == NFTA_LIST_ELEM).find_map(|(_, one)| jump(one));
    Some((text(attribute(rest, NFTA_RULE_CHAIN)?), Rule { id, jump }))
}

/// The chain that an expression leads to: `jump` and `goto` are verdicts that stand in the rule itself.
fn jump(expression: &[u8]) -> Option<String> {
    if text(attribute(expression, NFTA_EXPR_NAME)?) != "immediate" {
        return None;
    }
    let data = attribute(attribute(expression, NFTA_EXPR_DATA)?, NFTA_IMMEDIATE_DATA)?;
    let verdict = attribute(data, NFTA_DATA_VERDICT)?;
    let (code, _) = <[u8; 4]>::read_from_prefix(attribute(verdict, NFTA_VERDICT_CODE)?).ok()?;
    matches!(i32::from_be_bytes(code), NFT_JUMP | NFT_GOTO)
        .then(|| attribute(verdict, NFTA_VERDICT_CHAIN).map(text))?
}

fn attribute(of: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(of).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// A name ends with a zero byte.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(kind: u16, parts: &[(u16, &[u8])]) -> (u16, Vec<u8>) {
        let mut bytes = Vec::new();
        parts.iter().for_each(|(kind, value)| push_attribute(&mut bytes, *kind, value));
        (kind | libc::NLA_F_NESTED as u16, bytes)
    }

    fn expression(name: &str, code: i32) -> Vec<u8> {
        let (_, verdict) =
            nested(0, &[(NFTA_VERDICT_CODE, &code.to_be_bytes()), (NFTA_VERDICT_CHAIN, b"KUBE-SERVICES\0")]);
        let (_, data) = nested(0, &[(NFTA_DATA_VERDICT, &verdict)]);
        let (_, immediate) = nested(0, &[(NFTA_IMMEDIATE_DATA, &data)]);
        nested(0, &[(NFTA_EXPR_NAME, name.as_bytes()), (NFTA_EXPR_DATA, &immediate)]).1
    }

    #[test]
    fn jumps_and_gotos_are_read_and_no_other_verdict() {
        assert_eq!(jump(&expression("immediate\0", NFT_JUMP)).as_deref(), Some("KUBE-SERVICES"));
        assert_eq!(jump(&expression("immediate\0", NFT_GOTO)).as_deref(), Some("KUBE-SERVICES"));
        assert_eq!(jump(&expression("immediate\0", 1)), None, "accept");
        assert_eq!(jump(&expression("counter\0", NFT_JUMP)), None);
        assert_eq!(jump(b"no attributes"), None);
    }

    #[test]
    fn a_rule_belongs_to_its_table() {
        let (_, list) = nested(0, &[(NFTA_LIST_ELEM, &expression("immediate\0", NFT_JUMP))]);
        let (_, rest) = nested(
            0,
            &[
                (NFTA_RULE_TABLE, b"nat\0"),
                (NFTA_RULE_CHAIN, b"OUTPUT\0"),
                (NFTA_RULE_HANDLE, &7_u64.to_be_bytes()),
                (NFTA_RULE_EXPRESSIONS, &list),
            ],
        );
        let payload = [&[2, 0, 0, 0], rest.as_slice()].concat();
        let wanted = Rule { id: 7, jump: Some("KUBE-SERVICES".to_owned()) };
        assert_eq!(rule(&payload, "nat"), Some(("OUTPUT".to_owned(), wanted)));
        assert_eq!(rule(&payload, "filter"), None);
        assert_eq!(rule(&payload[..3], "nat"), None);
    }
}
