//! The source in a storm: nobody takes what it finds for a while, and then everything.

use crate::{
    client::{kubeconfig, options},
    objects::NODE,
    server::Server,
};
use shunt::{
    engine::{Engine, Rules},
    model::{EndpointSlice, Event},
    source::kube::{Batch, KubeSource, Options},
    view::decode,
    writer::{Capacities, MemoryMaps},
};
use std::{collections::BTreeMap, net::IpAddr, sync::mpsc::channel, thread, time::Duration};

/// Services that change all the time, and how often each of them does.
const NOISY: u32 = 20;
const TIMES: u32 = 60;

fn version(slice: &EndpointSlice) -> u32 {
    let IpAddr::V4(address) = slice.endpoints[0].address else { panic!("{slice:?}") };
    address.to_bits() & 0x7f_ffff
}

fn services() -> Vec<(String, u32)> {
    let noisy = (1..=NOISY).map(|number| (format!("noisy-{number}"), number));
    noisy.chain([("quiet".to_owned(), 250)]).collect()
}

async fn source(server: &Server, config: &tempfile::TempDir) -> KubeSource {
    let options =
        Options { api_servers: vec![server.url()], answer: Duration::from_secs(20), ..options(&[], config) };
    KubeSource::start(options).await.unwrap()
}

/// Takes batches until something is true of one.
async fn until(source: &mut KubeSource, mut is: impl FnMut(Batch) -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while !is(tokio::time::timeout_at(end, source.next()).await.unwrap()) {}
}

#[test]
fn what_a_later_frame_has_overtaken_is_never_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, config) = (Server::start(&services()), kubeconfig());
    runtime.block_on(async {
        let mut source = source(&server, &config).await;
        until(&mut source, |batch| batch.synced).await;
        let mut watch = server.watch();
        let (told, sent) = channel();
        thread::spawn(move || {
            let mut version = 1;
            for _ in 0..TIMES {
                for number in 1..=NOISY {
                    version += 1;
                    watch.send(&format!("noisy-{number}"), version);
                }
            }
            watch.send("quiet", version + 1);
            let _ = told.send(watch);
        });
        // The runtime's only thread waits here, as it does while an agent programs the kernel: as a rule, until all of
        // it lies in the buffers of the connection.
        let _watch = sent.recv_timeout(Duration::from_secs(5));
        let newest = 2 + NOISY * TIMES;
        let (mut events, mut largest, mut last) = (0, 0, BTreeMap::new());
        until(&mut source, |batch| {
            events += batch.events.len();
            largest = largest.max(batch.events.len());
            for event in batch.events {
                let Event::SliceApplied(slice) = event else { panic!("{event:?}") };
                let version = version(&slice);
                let former = last.insert(slice.service.to_string(), version);
                assert!(
                    former.is_none_or(|former| former < version),
                    "{}: never back in time",
                    slice.service
                );
            }
            last.contains_key("quiet")
        })
        .await;
        assert_eq!(last["quiet"], newest);
        // What was sent last of each, whatever came of the others.
        let expected = |number: u32| newest - NOISY - 1 + number;
        assert!((1..=NOISY).all(|number| last[&format!("noisy-{number}")] == expected(number)), "{last:?}");
        let sent = (NOISY * TIMES) as usize;
        assert!(events < sent / 4, "{events} events of {sent} updates");
        assert!(largest <= 10 * (NOISY as usize + 1), "{largest} events at once");
    });
}

#[test]
fn a_quiet_service_is_programmed_with_the_first_sync_after_it_was_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, config) = (Server::start(&services()), kubeconfig());
    let capacities = Capacities::for_cluster(100, 10);
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&capacities)).unwrap();
    runtime.block_on(async {
        let mut source = source(&server, &config).await;
        until(&mut source, |batch| {
            batch.events.into_iter().for_each(|event| engine.apply(event));
            batch.synced
        })
        .await;
        engine.sync().unwrap();
        let mut watch = server.watch();
        let (mut version, mut syncs) = (1, 0);
        for round in 0..20 {
            for number in 1..=NOISY {
                version += 1;
                watch.send(&format!("noisy-{number}"), version);
            }
            version += 1;
            watch.send("quiet", version);
            until(&mut source, |batch| {
                let told = batch
                    .events
                    .iter()
                    .any(|event| matches!(event, Event::SliceApplied(slice) if slice.service == "quiet"));
                let events = batch.events.len();
                batch.events.into_iter().for_each(|event| engine.apply(event));
                assert!(engine.cluster().pending() <= events, "one place in the queue for each service");
                let report = engine.sync().unwrap();
                assert!(report.services <= events && engine.cluster().pending() == 0);
                syncs += 1;
                told
            })
            .await;
            let ports = decode(engine.writer()).unwrap();
            let quiet = ports.iter().find(|port| port.id.as_ref().unwrap().service.name == "quiet").unwrap();
            let IpAddr::V4(address) = quiet.cluster[0].ip() else { panic!("{quiet:?}") };
            assert_eq!(address.to_bits() & 0x7f_ffff, version, "in round {round}");
        }
        assert!(syncs >= 20);
    });
}
