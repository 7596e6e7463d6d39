//! Who asks, as a socket hook knows it. Each helper is called only where its answer decides something.

use crate::{globals, sock_ctx::SocketCall};
use proxy_common::{
    abi::{Address, AffinityClient},
    datapath::{Client, Origin},
};

/// The caller of a socket call.
pub struct SocketClient<'a>(pub &'a SocketCall<'a>);

impl Client for SocketClient<'_> {
    #[inline(always)]
    fn origin(&self) -> Origin {
        if self.0.netns_cookie() == globals::node_netns() { Origin::Node } else { Origin::Pod }
    }

    #[inline(always)]
    fn is_outside(&self) -> bool {
        false
    }

    /// The kernel chooses the source address after the hook.
    #[inline(always)]
    fn address(&self) -> Option<Address> {
        None
    }

    #[inline(always)]
    fn affinity(&self) -> AffinityClient {
        AffinityClient::namespace(self.0.netns_cookie())
    }
}
