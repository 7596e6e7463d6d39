//! From a question to an answer: the decisions are the datapath's, the words are the files' beside this one.

use super::{
    Answer, Question, Verdict, forward,
    health_check::health_check,
    refuse::{refused, where_ranges_hold},
    untouched::untouched,
    words::service_port,
};
use crate::{
    view::{FrontendKind, FrontendView},
    writer::{MapReader, WriteError},
};
use proxy_common::{
    abi::{FrontendValue, ServiceFlags},
    datapath::{self, Lookup, Origin, Reason, Tables, find_frontend, route},
};

/// Says what the node of these maps does with a new connection.
///
/// It draws from [`Tables::random`] and remembers a session affinity, as the datapath does: ask a copy of
/// the kernel's maps ([`crate::writer::MemoryMaps::copy_of`]), never the maps that traffic uses.
///
/// # Errors
/// Where the maps cannot be read.
pub fn explain<M: MapReader + Tables>(maps: &M, question: &Question) -> Result<Answer, WriteError> {
    let (peer, protocol) = (question.peer(), question.protocol as u8);
    let found = match find_frontend(maps, question, &peer, protocol) {
        Lookup::Frontend(frontend) => Some(frontend),
        _ => None,
    };
    let verdict = route(maps, question, &peer, protocol);
    let by_policy =
        matches!(verdict, datapath::Verdict::Forward(_) | datapath::Verdict::Drop(Reason::NoLocalEndpoint));
    let mut answer = match verdict {
        datapath::Verdict::Forward(route) => forward::forwarded(maps, question, &route)?,
        datapath::Verdict::Reject(reason) => {
            Answer::without_endpoint(Verdict::Reject, refused(maps, question, found, reason)?)
        }
        // A socket's connection leaves as packets then, and those who see them know the source.
        datapath::Verdict::Pass(reason @ Reason::SourceUnknown) | datapath::Verdict::Drop(reason) => {
            Answer::without_endpoint(Verdict::Drop, refused(maps, question, found, reason)?)
        }
        datapath::Verdict::Pass(_) => Answer::without_endpoint(Verdict::Pass, untouched(maps, question)?),
    };
    if let Some(frontend) = found {
        answer.service = Some(service_port(maps, frontend.service));
        answer.frontend = dialled(question, frontend);
        if has_source_ranges(maps, frontend, question.origin) {
            answer.reason.push_str(where_ranges_hold(question.origin));
        }
        if by_policy && question.origin == Origin::Outside {
            answer.reason.push_str(&health_check(maps, frontend)?);
        }
    }
    Ok(answer)
}

/// The frontend that was dialled; a NodePort stands for all addresses of the node.
fn dialled(question: &Question, frontend: FrontendValue) -> Option<FrontendView> {
    let kind = FrontendKind::decode(frontend.kind())?;
    let address = (kind != FrontendKind::NodePort).then(|| question.address());
    Some(FrontendView { kind, address, port: question.destination.port() })
}

/// Whether source ranges say which clients of this origin may use this frontend.
pub(super) fn has_source_ranges(maps: &impl MapReader, frontend: FrontendValue, origin: Origin) -> bool {
    let service = maps.service(frontend.service).unwrap_or_default();
    FrontendKind::decode(frontend.kind()) == Some(FrontendKind::LoadBalancer)
        && service.flags.contains(ServiceFlags::SOURCE_RANGES)
        && (origin == Origin::Outside || !service.flags.contains(ServiceFlags::SOURCE_RANGES_OUTSIDE))
}
