//! What a program does with a packet at last.

use crate::skb::{AF_INET, AF_INET6, Skb, read};
use aya_ebpf::{
    bindings::{BPF_F_INGRESS, TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_redir_neigh},
    helpers::{bpf_redirect, bpf_redirect_neigh, bpf_skb_change_head, bpf_skb_vlan_pop},
};
use core::ptr;
use proxy_common::{
    abi::Address,
    packet::{Action, Hook, Packet, PacketTables, Sum},
};

/// A packet goes on, to the programs that others have attached behind ours (TCX_NEXT). After TC_ACT_OK (TCX_PASS) none
/// of them would see it, neither by tcx nor by clsact.
pub const PASS: i32 = TC_ACT_UNSPEC;

impl Skb {
    /// Does what was decided; the value is the program's.
    #[inline(always)]
    pub fn finish<T: PacketTables>(&mut self, tables: &T, action: Action) -> i32 {
        match action {
            Action::Pass => PASS,
            Action::Drop => TC_ACT_SHOT,
            Action::Forward { device, gateway } => self.forward(device, gateway),
            Action::Return => self.send_back(),
            Action::Inject { device } => self.inject(tables, device),
        }
    }

    /// Lets the neighbour layer address it and send it out of `device`.
    #[inline(always)]
    fn forward(&mut self, device: u32, gateway: Address) -> i32 {
        // A tag is that of the link it came by.
        if read!(self.skb, vlan_present) != 0 {
            // SAFETY: `skb` is the context of this program, which the helper asks for.
            unsafe { bpf_skb_vlan_pop(self.skb) };
        }
        if self.headerless {
            // bpf_redirect_neigh takes off a link header, of which the EtherType is set already.
            // SAFETY: as above.
            if unsafe { bpf_skb_change_head(self.skb, 14, 0) } != 0 {
                return TC_ACT_SHOT;
            }
        }
        if gateway == Address::default() {
            // SAFETY: no neighbour is named: the helper reads nothing, and looks up the route itself.
            let action = unsafe { bpf_redirect_neigh(device, ptr::null_mut(), 0, 0) };
            return action as i32;
        }
        let neighbour = &mut self.questions().neighbour;
        match gateway.v4_word() {
            Some(word) => {
                neighbour.nh_family = u32::from(AF_INET);
                neighbour.__bindgen_anon_1.ipv4_nh = word;
            }
            None => {
                neighbour.nh_family = u32::from(AF_INET6);
                neighbour.__bindgen_anon_1.ipv6_nh = gateway.words;
            }
        }
        // SAFETY: the helper reads as many bytes of `neighbour` as it has.
        let action = unsafe {
            bpf_redirect_neigh(device, ptr::from_mut(neighbour), size_of::<bpf_redir_neigh>() as i32, 0)
        };
        action as i32
    }

    /// Sends it back the way it came.
    #[inline(always)]
    fn send_back(&mut self) -> i32 {
        if !self.headerless {
            let Some([a, b, c, d, e, f]) = self.load::<[u16; 6]>(0) else { return TC_ACT_SHOT };
            if self.store(0, &[d, e, f, a, b, c], Sum::Balanced).is_none() {
                return TC_ACT_SHOT;
            }
        }
        let flags = match self.hook {
            Hook::Ingress => 0,
            Hook::Egress => BPF_F_INGRESS,
        };
        // SAFETY: the helper takes plain numbers.
        let action = unsafe { bpf_redirect(self.device(), u64::from(flags)) };
        action as i32
    }

    /// Lets the node see it arrive on `device`.
    #[inline(always)]
    fn inject<T: PacketTables>(&mut self, tables: &T, device: u32) -> i32 {
        if device == self.device() {
            return PASS;
        }
        let Some(entry) = tables.device(device) else { return TC_ACT_SHOT };
        if self.headerless {
            // SAFETY: `skb` is the context of this program, which the helper asks for.
            if unsafe { bpf_skb_change_head(self.skb, 14, 0) } != 0
                || self.store(12, &self.ethertype(), Sum::Balanced).is_none()
            {
                return TC_ACT_SHOT;
            }
        }
        // Whatever is not addressed to the device is not for the node.
        if self.store(0, &entry.mac, Sum::Balanced).is_none() {
            return TC_ACT_SHOT;
        }
        // SAFETY: the helper takes plain numbers.
        let action = unsafe { bpf_redirect(device, u64::from(BPF_F_INGRESS)) };
        action as i32
    }
}
