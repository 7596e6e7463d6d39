//! One scrape: all that is told, together.

use super::{
    api::ApiSnapshot, kernel::KernelSnapshot, kube_proxy, own, page::Page, process::ProcessSnapshot,
    state::State,
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, sync::Arc};

/// What a scrape has gathered.
#[derive(Debug)]
pub(super) struct Exposition {
    pub state: Arc<State>,
    pub kernel: Option<KernelSnapshot>,
    pub api: Option<ApiSnapshot>,
    pub process: Option<ProcessSnapshot>,
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        kube_proxy::write(&mut page, &self.state, self.kernel.as_ref())?;
        own::write(&mut page, &self.state)?;
        if let Some(kernel) = &self.kernel {
            own::write_kernel(&mut page, &self.state, kernel)?;
        }
        if let Some(api) = &self.api {
            own::write_api(&mut page, api)?;
        }
        match &self.process {
            Some(process) => process.write(&mut page),
            None => Ok(()),
        }
    }
}
