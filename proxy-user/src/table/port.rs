//! What the kernel holds of one service port.

use super::{
    buddy::Block,
    spec::{Frontend, Member, SourceRange},
};
use crate::model::PortId;
use proxy_common::abi::{BackendFlags, ServiceFlags};

/// A programmed service port; its index in SERVICES is its place in the table.
#[derive(Debug)]
pub(super) struct Port {
    pub id: PortId,
    pub created: i64,
    /// Cells of NAMES.
    pub name: Option<Block>,
    pub affinity_seconds: u32,
    pub flags: ServiceFlags,
    pub health_check_node_port: u16,
    /// Ascending by address and port.
    pub members: Vec<Held>,
    pub cluster: Set,
    pub local: Set,
    /// The claims it holds, in the order of its specification.
    pub frontends: Vec<Frontend>,
    /// The prefixes it wants.
    pub source_ranges: Vec<SourceRange>,
    /// Removed by the caller; kept until the kernel has let go of its last frontend.
    pub dying: bool,
}

/// An endpoint and the backend that stands for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub member: Member,
    pub backend: u32,
    /// The flags of the backend as the kernel holds them.
    pub flags: BackendFlags,
}

/// One of the two sets of a service port.
#[derive(Debug, Default)]
pub(super) struct Set {
    /// Its range of SLOTS; none while it is empty.
    pub range: Option<Block>,
    /// Backend index by slot, from the range's base on.
    pub slots: Vec<u32>,
    /// Adopted with a dead or doubled slot: to be written anew.
    pub damaged: bool,
}

/// Which of the two sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    Cluster,
    Local,
}

impl Which {
    pub const BOTH: [Self; 2] = [Self::Cluster, Self::Local];

    /// Whether a member belongs to this set.
    pub const fn has(self, member: &Member) -> bool {
        match self {
            Self::Cluster => member.sets.cluster,
            Self::Local => member.sets.local,
        }
    }
}

impl Port {
    pub const fn set_mut(&mut self, which: Which) -> &mut Set {
        match which {
            Which::Cluster => &mut self.cluster,
            Which::Local => &mut self.local,
        }
    }
}
