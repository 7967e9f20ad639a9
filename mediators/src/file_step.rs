//! Helper: what the steps on files share: a folder from an endpoint, and a name in it.

use crate::text::needs_of;
use engine::build::Build;
use engine::config::{RawNode, Text};
use engine::endpoint::{Endpoint, EndpointRef};
use engine::exchange::Exchange;
use engine::expression::{Escape, Template};
use engine::fault::{Fault, FaultCode};
use engine::files::FileStore;
use engine::mediator::Needs;
use std::future::Future;
use std::sync::Arc;

/// A folder, and a name in it.
pub(crate) struct Target {
    endpoint: EndpointRef,
    name: Option<Template>,
}

impl Target {
    pub(crate) fn compile(endpoint: &RawNode, name: Option<&Text>, cx: &mut Build<'_>) -> Option<Self> {
        let reference = cx.endpoint(endpoint);
        if let Some(EndpointRef::Fixed(fixed)) = &reference
            && fixed.files().is_none()
        {
            let help = Some("name an endpoint of a folder, such as `file: { folder: ./out }`".to_owned());
            cx.error(
                "config.no_folder",
                endpoint.0.span,
                format!("the endpoint `{}` has no files", fixed.name()),
                help,
            );
            return None;
        }
        let name = crate::text::optional_template(name, Escape::None, cx);
        Some(Self {
            endpoint: reference?,
            name: name?,
        })
    }

    pub(crate) fn needs(&self) -> Needs {
        self.endpoint
            .needs()
            .max(needs_of(self.name.as_ref(), Template::needs))
    }

    /// The folder and the name for this exchange.
    pub(crate) fn resolve(&self, exchange: &Exchange) -> Result<(Arc<dyn FileStore>, String), Fault> {
        let endpoint: Arc<Endpoint> = self.endpoint.resolve(exchange)?;
        let files = endpoint.files().ok_or_else(|| {
            Fault::new(FaultCode::NoEndpoint, "The backend has no files.")
                .with_detail(format!("the endpoint `{}` has no files", endpoint.name()))
        })?;
        let name = self.name.as_ref().map(|name| name.render(exchange)).transpose()?;
        Ok((files, name.unwrap_or_default()))
    }
}

/// Waits for a store no longer than the exchange may take.
pub(crate) async fn in_time<T>(
    exchange: &Exchange,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let timed_out = || Fault::new(FaultCode::Timeout, "The folder did not answer in time.");
    tokio::time::timeout_at(exchange.deadline, work)
        .await
        .unwrap_or_else(|_| Err(timed_out()))
}
