//! Devices, addresses and routes of a namespace, by rtnetlink. The async runtime that rtnetlink asks
//! for lives on the thread that entered the namespace, for one request, and is seen nowhere else.

use super::{LabError, Namespace};
use futures_util::TryStreamExt;
use netlink_packet_route::{
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage},
    link::{InfoData, InfoVeth, LinkFlags},
    route::RouteScope,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd, AsRawFd},
};

pub(super) fn set_up(namespace: &Namespace, device: &str) -> Result<(), LabError> {
    request("RTM_NEWLINK (up)", namespace, device, async |netlink| {
        let message = LinkUnspec::new_with_index(device_index(device)?).up().build();
        netlink.link().change(message).execute().await.map_err(into_io)
    })
}

/// Makes the pair in one request, the far end in its namespace from the start: its name is taken nowhere
/// else.
pub(super) fn add_veth(
    namespace: &Namespace,
    device: &str,
    peer: &Namespace,
    peer_device: &str,
) -> Result<(), LabError> {
    let what = format!("veth {device} to {peer} {peer_device}");
    request("RTM_NEWLINK", namespace, &what, async |netlink| {
        let far = LinkMessageBuilder::<LinkUnspec>::new()
            .name(peer_device.to_owned())
            .setns_by_fd(peer.as_fd().as_raw_fd())
            .build();
        let pair = LinkVeth::new(device, peer_device).set_info_data(InfoData::Veth(InfoVeth::Peer(far)));
        netlink.link().add(pair.build()).execute().await.map_err(into_io)
    })
}

pub(super) fn remove_device(namespace: &Namespace, device: &str) -> Result<(), LabError> {
    request("RTM_DELLINK", namespace, device, async |netlink| {
        netlink.link().del(device_index(device)?).execute().await.map_err(into_io)
    })
}

pub(super) fn add_address(
    namespace: &Namespace,
    device: &str,
    address: IpAddr,
    prefix: u8,
) -> Result<(), LabError> {
    let what = format!("{device} {address}/{prefix}");
    request("RTM_NEWADDR", namespace, &what, async |netlink| {
        let mut request = netlink.address().add(device_index(device)?, address, prefix);
        if address.is_ipv6() {
            without_duplicate_detection(request.message_mut());
        }
        request.execute().await.map_err(into_io)
    })
}

/// A tentative address would refuse to be bound for a second or more.
fn without_duplicate_detection(message: &mut AddressMessage) {
    message.header.flags |= AddressHeaderFlags::Nodad;
    message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
}

pub(super) fn remove_address(
    namespace: &Namespace,
    device: &str,
    address: IpAddr,
    prefix: u8,
) -> Result<(), LabError> {
    let what = format!("{device} {address}/{prefix}");
    request("RTM_DELADDR", namespace, &what, async |netlink| {
        let add = netlink.address().add(device_index(device)?, address, prefix).message_mut().clone();
        netlink.address().del(add).execute().await.map_err(into_io)
    })
}

pub(super) fn add_route(
    namespace: &Namespace,
    destination: IpAddr,
    prefix: u8,
    gateway: Option<IpAddr>,
    device: &str,
) -> Result<(), LabError> {
    let what = format!("{destination}/{prefix} dev {device}");
    request("RTM_NEWROUTE", namespace, &what, async |netlink| {
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(destination, prefix)
            .map_err(io::Error::other)?
            .output_interface(device_index(device)?);
        let route = match gateway {
            Some(gateway) => route.gateway(gateway).map_err(io::Error::other)?.onlink(),
            None => route.scope(RouteScope::Link),
        };
        netlink.route().add(route.build()).execute().await.map_err(into_io)
    })
}

/// The flags of a device. The kernel answers under the same lock (rtnl) under which it changes them.
pub(super) fn flags(namespace: &Namespace, device: &str) -> Result<LinkFlags, LabError> {
    request("RTM_GETLINK", namespace, device, async |netlink| {
        let mut links = netlink.link().get().match_index(device_index(device)?).execute();
        let link = links.try_next().await.map_err(into_io)?;
        link.map(|link| link.header.flags).ok_or_else(|| io::ErrorKind::NotFound.into())
    })
}

/// The index of a device of the calling thread's namespace.
pub(super) fn device_index(device: &str) -> io::Result<u32> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    Ok(netdevice::name_to_index(socket, device)?)
}

/// Makes one request inside the namespace.
pub(super) fn request<T: Send>(
    call: &'static str,
    namespace: &Namespace,
    object: &str,
    ask: impl AsyncFnOnce(Handle) -> io::Result<T> + Send,
) -> Result<T, LabError> {
    let answer = namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection()?;
            let connection = tokio::spawn(connection);
            let answer = ask(handle).await;
            connection.abort();
            answer
        })
    })?;
    answer.map_err(|error| LabError::new(call, format_args!("{namespace} {object}"), error))
}

pub(super) fn into_io(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}
