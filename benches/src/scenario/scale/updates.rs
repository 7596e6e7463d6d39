//! Slice updates: one endpoint of one slice replaced by another, each time of another service.

use super::{
    Site, sight,
    tracker::{Tracked, Tracker, Update},
};
use crate::{
    api::{Api, Call},
    cluster::SampleCluster,
    machine, objects,
    plane::Plane,
    random::Random,
};
use anyhow::{Context as _, Result, bail, ensure};
use http::Method;
use shunt::model::EndpointSlice;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet, time};

/// Where addresses of new endpoints begin: no other pod has one from here on.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 192, 0, 1]);

/// How long the last of them may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Longer than kube-proxy's minSyncPeriod: a lone update finds it at rest.
const PAUSE: Duration = Duration::from_millis(2_500);

/// When updates are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// So many a second, whatever becomes of them.
    Rate(u32),
    /// Each after the one before was programmed, and a pause.
    Lone,
}

/// Spans up to when the kernel had the change, milliseconds. One that the kernel had before the bench's own watch heard
/// of it is negative: the API server tells its watchers in no certain order.
#[derive(Default)]
pub struct Latencies {
    /// From when the watch heard of it.
    pub from_seen: Vec<f64>,
    /// From when its author sent it.
    pub from_sent: Vec<f64>,
}

impl Latencies {
    /// Adds those of another run.
    pub fn extend(&mut self, other: Self) {
        self.from_seen.extend(other.from_seen);
        self.from_sent.extend(other.from_sent);
    }
}

/// The slices as they are in the API server.
pub struct Updates {
    cluster: SampleCluster,
    slices: HashMap<u32, EndpointSlice>,
    random: Random,
    addresses: u32,
}

impl Updates {
    /// Those of a cluster that was just loaded.
    pub fn new(cluster: &SampleCluster) -> Self {
        let random = Random::new(u64::from(cluster.services()));
        Self { cluster: cluster.clone(), slices: HashMap::new(), random, addresses: 0 }
    }

    /// Sends `count` updates, and measures each.
    ///
    /// # Errors
    /// Where one is refused, or is not programmed in two minutes.
    pub fn run(&mut self, plane: &Plane, site: &mut Site, count: u32, pace: Pace) -> Result<Latencies> {
        let (tracker, kubeconfig) = (Arc::new(Tracker::default()), plane.kubeconfig()?);
        let (ready, is_ready) = oneshot::channel();
        let changes = self.changes(count);
        let site = &*site;
        let sent = thread::scope(|scope| {
            let follower = scope.spawn(|| {
                let followed = sight::follow(site, &tracker, || {
                    // Who waited for it has failed.
                    let _ = ready.send(());
                });
                // The sender need not wait for what nobody sees.
                tracker.close();
                followed
            });
            let sent = plane.namespace().run(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let api = Api::new(&kubeconfig).await?;
                    is_ready.await.context("nobody looks for changes")?;
                    send(&api, changes, pace, &tracker).await
                })
            });
            tracker.close();
            let followed = follower.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            followed.and(sent?)
        });
        sent.with_context(|| site.log())?;
        let mut latencies = Latencies::default();
        for Tracked { sent, seen, programmed, update } in tracker.take() {
            let (Some(seen), Some(programmed)) = (seen, programmed) else {
                bail!("not programmed: {update:?}")
            };
            let after = |moment| {
                let late = programmed.saturating_duration_since(moment).as_secs_f64();
                (late - moment.saturating_duration_since(programmed).as_secs_f64()) * 1e3
            };
            latencies.from_seen.push(after(seen));
            latencies.from_sent.push(after(sent));
        }
        ensure!(latencies.from_seen.len() == count as usize, "{} updates", latencies.from_seen.len());
        Ok(latencies)
    }

    /// Replaces an endpoint of that many services.
    fn changes(&mut self, count: u32) -> Vec<(Update, EndpointSlice)> {
        let mut services: Vec<u32> = (0..self.cluster.services()).collect();
        self.random.shuffle(&mut services);
        let chosen = services.into_iter().take(count as usize);
        chosen
            .map(|service| {
                let address = Ipv4Addr::from(FIRST_ADDRESS + self.addresses);
                self.addresses += 1;
                let slice = self.slices.entry(service);
                let slice = slice.or_insert_with(|| self.cluster.slice_with(service, 0));
                let place = self.random.below(slice.endpoints.len() as u32) as usize;
                slice.endpoints[place].address = IpAddr::V4(address);
                (Update { service, slice: slice.name.name.to_string(), address }, slice.clone())
            })
            .collect()
    }
}

/// Sends updates and waits until all are seen and programmed.
async fn send(
    api: &Api,
    changes: Vec<(Update, EndpointSlice)>,
    pace: Pace,
    tracker: &Arc<Tracker>,
) -> Result<()> {
    let (ready, is_ready) = oneshot::channel();
    let watch = {
        let (api, tracker) = (api.clone(), Arc::clone(tracker));
        tokio::spawn(async move {
            let path = "/apis/discovery.k8s.io/v1/endpointslices";
            api.watch(path, || _ = ready.send(()), |slice, at| tracker.seen(slice, at)).await
        })
    };
    is_ready.await.context("the watch did not begin")?;
    let sent = send_all(api, changes, pace, tracker).await;
    let done = async {
        let end = time::Instant::now() + LIMIT;
        while !tracker.is_done(Duration::ZERO) {
            ensure!(time::Instant::now() < end, "updates are not programmed after {LIMIT:?}");
            ensure!(!tracker.is_closed() && !watch.is_finished(), "nobody looks for changes any more");
            time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    let done = if sent.is_ok() { done.await } else { Ok(()) };
    watch.abort();
    sent.and(done)
}

async fn send_all(
    api: &Api,
    changes: Vec<(Update, EndpointSlice)>,
    pace: Pace,
    tracker: &Arc<Tracker>,
) -> Result<()> {
    let (start, mut requests) = (time::Instant::now(), JoinSet::new());
    for (number, (update, slice)) in (0_u32..).zip(changes) {
        if let Pace::Rate(rate) = pace {
            time::sleep_until(start + Duration::from_secs(number.into()) / rate).await;
        }
        let (place, body) = objects::slice(&slice, Some(&machine::now()));
        let call = Call { method: Method::PUT, path: place.object, body };
        if pace == Pace::Lone {
            time::sleep(PAUSE).await;
        }
        let api = api.clone();
        tracker.sent(update);
        requests.spawn(async move { api.call(&call).await });
        if pace == Pace::Lone {
            requests.join_next().await.context("a request")???;
            let end = time::Instant::now() + LIMIT;
            while !tracker.is_done(Duration::ZERO) && time::Instant::now() < end && !tracker.is_closed() {
                time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    while let Some(answer) = requests.join_next().await {
        answer??;
    }
    Ok(())
}
