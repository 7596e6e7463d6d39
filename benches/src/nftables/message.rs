//! Messages of nf_tables: a request for the elements of a set, and what is read of an answer or a notification.

/// Type of a message with new elements, and of the request for them: NFNL_SUBSYS_NFTABLES << 8, and
/// NFT_MSG_NEWSETELEM or NFT_MSG_GETSETELEM.
const NEW_ELEMENTS: u16 = 10 << 8 | 12;
const GET_ELEMENTS: u16 = 10 << 8 | 13;
/// NLMSG_ERROR, NLMSG_DONE.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// NLM_F_REQUEST | NLM_F_DUMP.
const DUMP: u16 = 0x1 | 0x300;
/// Bytes of struct nlmsghdr, struct nfgenmsg, struct nlattr.
const HEADER: usize = 16;
const GENERIC: usize = 4;
const ATTRIBUTE: usize = 4;
/// NFPROTO_IPV4.
const IPV4: u8 = 2;
/// NFTA_SET_ELEM_LIST_TABLE, _SET, _ELEMENTS; NFTA_SET_ELEM_DATA; NFTA_DATA_VALUE, NFTA_DATA_VERDICT;
/// NFTA_VERDICT_CHAIN.
const TABLE: u16 = 1;
const SET: u16 = 2;
const ELEMENTS: u16 = 3;
const ELEMENT_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CHAIN: u16 = 2;
/// NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of a type.
const TYPE_MASK: u16 = 0x3fff;

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// Elements of a set.
    Elements(Vec<Element<'a>>),
    /// The end of an answer.
    Done,
    /// The request failed, with this error number.
    Failed(i32),
    /// Anything else.
    Other,
}

/// What an element of a map leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element<'a> {
    /// A value: address and port of an endpoint, each in network byte order and filled up to 32 bits.
    Value(&'a [u8]),
    /// A chain.
    Chain(&'a [u8]),
    /// Nothing: the set is no map.
    Nothing,
}

/// The request for all elements of a set of IPv4.
pub(super) fn elements_of(table: &str, set: &str, sequence: u32) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes.extend([IPV4, 0, 0, 0]);
    for (kind, text) in [(TABLE, table), (SET, set)] {
        let length = ATTRIBUTE + text.len() + 1;
        bytes.extend((length as u16).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(text.as_bytes());
        // The end of the string, and up to a multiple of four.
        bytes.resize(bytes.len() + 1, 0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&GET_ELEMENTS.to_ne_bytes());
    bytes[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    bytes
}

/// The messages of a datagram.
pub(super) fn messages(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
        let message = rest.get(..length).filter(|message| message.len() >= HEADER)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message::read(message))
    })
}

impl<'a> Message<'a> {
    fn read(message: &'a [u8]) -> Self {
        let (header, payload) = message.split_at(HEADER);
        match u16::from_ne_bytes([header[4], header[5]]) {
            DONE => Self::Done,
            ERROR => Self::Failed(payload.first_chunk().map_or(0, |error| -i32::from_ne_bytes(*error))),
            NEW_ELEMENTS => {
                let lists = attributes(payload.get(GENERIC..).unwrap_or_default());
                let lists = lists.filter(|(kind, _)| *kind == ELEMENTS);
                let elements = lists.flat_map(|(_, list)| attributes(list));
                Self::Elements(elements.map(|(_, element)| Element::read(element)).collect())
            }
            _ => Self::Other,
        }
    }
}

impl<'a> Element<'a> {
    fn read(element: &'a [u8]) -> Self {
        let data = attributes(element).find(|(kind, _)| *kind == ELEMENT_DATA);
        match data.and_then(|(_, data)| attributes(data).next()) {
            Some((DATA_VALUE, value)) => Self::Value(value),
            Some((DATA_VERDICT, verdict)) => {
                let chain = attributes(verdict).find(|(kind, _)| *kind == VERDICT_CHAIN);
                chain.map_or(Self::Nothing, |(_, name)| Self::Chain(name.strip_suffix(b"\0").unwrap_or(name)))
            }
            _ => Self::Nothing,
        }
    }
}

/// Types and contents of attributes.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let [low, high, kind @ ..] = *rest.first_chunk::<ATTRIBUTE>()?;
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let content = rest.get(ATTRIBUTE..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes(kind) & TYPE_MASK, content))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
        let mut bytes = ((ATTRIBUTE + content.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn elements_are_found_with_what_they_lead_to() {
        const NESTED: u16 = 1 << 15;
        let value =
            attribute(ELEMENT_DATA | NESTED, &attribute(DATA_VALUE, &[10, 0, 0, 1, 0x1f, 0x90, 0, 0]));
        let chain = attribute(VERDICT_CHAIN, b"service-X\0");
        let chain = attribute(ELEMENT_DATA | NESTED, &attribute(DATA_VERDICT | NESTED, &chain));
        let list = [attribute(1 | NESTED, &value), attribute(1 | NESTED, &chain), attribute(1, &[])].concat();
        let payload =
            [vec![2, 0, 0, 0], attribute(TABLE, b"t\0"), attribute(ELEMENTS | NESTED, &list)].concat();
        let datagram = [
            message(NEW_ELEMENTS, &payload),
            message(DONE, &[0; 4]),
            message(ERROR, &(-2_i32).to_ne_bytes()),
        ];
        let datagram = datagram.concat();
        let expected = [
            Message::Elements(vec![
                Element::Value(&[10, 0, 0, 1, 0x1f, 0x90, 0, 0]),
                Element::Chain(b"service-X"),
                Element::Nothing,
            ]),
            Message::Done,
            Message::Failed(2),
        ];
        assert_eq!(messages(&datagram).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn cut_messages_are_no_messages() {
        let whole = message(DONE, &[0; 8]);
        for length in 0..whole.len() {
            assert_eq!(messages(&whole[..length]).count(), 0, "{length}");
        }
        assert_eq!(messages(&whole).count(), 1);
    }

    #[test]
    fn a_request_is_a_whole_number_of_words() {
        let request = elements_of("kube-proxy", "service-ips", 7);
        assert_eq!(request.len() % 4, 0);
        assert_eq!(request.len(), u32::from_ne_bytes(*request.first_chunk().unwrap()) as usize);
        let found: Vec<_> = attributes(&request[HEADER + GENERIC..]).collect();
        assert_eq!(found, [(TABLE, &b"kube-proxy\0"[..]), (SET, &b"service-ips\0"[..])]);
    }
}
