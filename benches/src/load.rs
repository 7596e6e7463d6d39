//! A sample cluster in a real API server.

use crate::{
    api::{Api, Call},
    cluster::{NODE, SampleCluster},
    objects,
    plane::Plane,
};
use anyhow::{Context as _, Result};
use http::Method;
use std::{collections::BTreeSet, time::Instant};

/// The node's address, which is its own on the link to the control plane.
const NODE_ADDRESS: &str = "10.9.0.2";

/// Requests at a time.
const PARALLEL: usize = 32;

/// Creates Node, namespaces, Services and slices; seconds that the last two took.
///
/// # Errors
/// Where the API server refuses one.
pub fn load(plane: &Plane, cluster: &SampleCluster) -> Result<f64> {
    let kubeconfig = plane.kubeconfig()?;
    plane.namespace().run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let api = Api::new(&kubeconfig).await?;
            frame(&api, cluster).await?;
            let start = Instant::now();
            let (all, services) = (cluster.clone(), cluster.services() as usize);
            let call = move |number: usize| {
                let service = (number / 2) as u32;
                let slice = || all.slice_with(service, 0);
                let (place, body) = if number.is_multiple_of(2) {
                    objects::service(&all.service(service))
                } else {
                    objects::slice(&slice(), None)
                };
                Call { method: Method::POST, path: place.collection, body }
            };
            api.all(2 * services, PARALLEL, call).await?;
            Ok(start.elapsed().as_secs_f64())
        })
    })?
}

/// What the others need.
async fn frame(api: &Api, cluster: &SampleCluster) -> Result<()> {
    let node = objects::node(NODE, NODE_ADDRESS);
    api.call(&Call { method: Method::POST, path: "/api/v1/nodes".to_owned(), body: node.clone() }).await?;
    api.call(&Call { method: Method::PUT, path: format!("/api/v1/nodes/{NODE}/status"), body: node }).await?;
    let namespaces: BTreeSet<_> =
        (0..cluster.services()).map(|s| cluster.service(s).name.namespace).collect();
    for name in namespaces {
        let body = objects::namespace(&name);
        let call = Call { method: Method::POST, path: "/api/v1/namespaces".to_owned(), body };
        api.call(&call).await.context("a namespace")?;
    }
    Ok(())
}
