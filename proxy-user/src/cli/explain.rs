//! `shunt explain`: what the node does with a new connection, and why.

use super::{
    args::{ExplainArgs, Output},
    exit::Usage,
    live, offline,
};
use crate::{
    explain::{Answer, ClientAddress, Question, contradiction, explain as answer},
    model::Family,
    table::Conflict,
    view::{FrontendView, KeyParts},
    writer::MemoryMaps,
};
use std::{
    fmt::Write as _,
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    process::ExitCode,
};

/// Prints the answer. Exit code 0 whatever the verdict, 1 if a manifest is wrong.
pub fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let question = question(args)?;
    let (answer, incomplete) = match &args.node {
        Some(node) if !args.paths.is_empty() => {
            let offline = offline::program(&args.paths, node, &args.rules, &args.capacities)?;
            let mut answer = ask(offline.engine.writer(), &question)?;
            name_rivals(&mut answer, &question, &offline.engine.conflicts());
            (answer, offline.incomplete)
        }
        _ => (ask(&live::copy(&args.pins.pin_path, &question)?, &question)?, false),
    };
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut out, &answer)?;
            writeln!(out)?;
        }
        Output::Table => out.write_all(render(&answer).as_bytes())?,
    }
    Ok(ExitCode::from(u8::from(incomplete)))
}

fn question(args: &ExplainArgs) -> anyhow::Result<Question> {
    let question = Question {
        destination: args.destination.address,
        protocol: args.destination.protocol,
        origin: args.from.origin,
        source: args.from.address,
    };
    let families =
        |source: std::net::IpAddr| (source.to_canonical(), question.destination.ip().to_canonical());
    match question.source.map(families) {
        Some((source, dialled)) if source.is_ipv4() != dialled.is_ipv4() => Err(Usage(format!(
            "--from {source} cannot dial {dialled}: one is an IPv4 address, the other an IPv6 address"
        ))
        .into()),
        _ => Ok(question),
    }
}

fn ask(maps: &MemoryMaps, question: &Question) -> anyhow::Result<Answer> {
    if let Some(doubt) = contradiction(maps, question) {
        tracing::warn!("{doubt}");
    }
    // Keyed by the operating system's randomness.
    maps.set_random(RandomState::new().hash_one(()) as u32);
    Ok(answer(maps, question)?)
}

/// Adds who else claims the frontend. Only the engine knows: the maps hold the one that has it.
fn name_rivals(answer: &mut Answer, question: &Question, conflicts: &[Conflict]) {
    let Some(FrontendView { address, port, .. }) = &answer.frontend else { return };
    let dialled = |conflict: &&Conflict| {
        let parts = KeyParts::of(&conflict.key);
        let family = Family::of(&parts.address.to_ip());
        (parts.ip(), parts.port) == (*address, *port)
            && parts.protocol == question.protocol as u8
            && family == Family::of(&question.destination.ip())
    };
    for conflict in conflicts.iter().filter(dialled) {
        let _ = write!(
            answer.reason,
            " {} claims this frontend too and goes without it: a ClusterIP comes first, then a load \
             balancer's address, then the older Service, then the smaller name.",
            conflict.loser
        );
    }
}

/// The answer for people: the verdict first, and only what there is.
fn render(answer: &Answer) -> String {
    let Answer { verdict, service, frontend, endpoints, picked, client_address, reason } = answer;
    let frontend = frontend.as_ref().map(|frontend| format!("{} {frontend}", frontend.kind.name()));
    let endpoints = endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let sees = client_address.map(|address| match address {
        ClientAddress::Kept => "kept: the endpoint sees the client's own",
        ClientAddress::Node => "node: the endpoint sees one of this node",
    });
    let lines = [
        ("verdict", Some(verdict.name().to_owned())),
        ("service", service.clone()),
        ("frontend", frontend),
        ("endpoints", Some(endpoints).filter(|endpoints| !endpoints.is_empty())),
        ("picked", picked.map(|picked| picked.to_string())),
        ("address", sees.map(str::to_owned)),
        ("reason", Some(reason.clone())),
    ];
    let mut text = String::new();
    for (name, value) in lines.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        let _ = writeln!(text, "{name:9}  {value}");
    }
    text
}
