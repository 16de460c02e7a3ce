//! What services' memory comes to while ten times as many send as are enough.
//!
//! The gateway, ingest and behavior have one more replica here each, a process of its own, so that its memory is its own: what is sent comes in
//! through these two, and behavior's takes its part of the shards. Whoever is refused sends again at once.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use petty_chassis::Service as _;

use super::send::{Batches, CONNECTIONS, Counts};
use crate::mesh::{Addresses, GATEWAY, Plan};
use crate::process::{Cores, Process, rss_mib};

/// Times as many connections as are enough.
const TIMES: usize = 10;
/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(50);
/// Megabytes in a mebibyte.
const MB: f64 = 1.048_576;

/// Replicas that are processes.
pub(super) struct Replicas {
    gateway: SocketAddr,
    processes: Vec<(&'static str, Process)>,
}

/// What became of memory, MB.
pub(super) struct Memory {
    pub(super) service: &'static str,
    /// Before anything was sent.
    pub(super) before: f64,
    /// The most of all.
    pub(super) most: f64,
    /// The most of the last third of the time over that of the one before: in the first it warms up.
    pub(super) grew: f64,
}

impl Replicas {
    /// Of the services of a mesh, which need not know of them.
    pub(super) async fn start(plan: &Plan) -> anyhow::Result<Self> {
        let Cores { gateway: mut cores, rest } = Cores::share_out()?;
        cores.extend(rest);
        let (ingest, http) = (Addresses::free()?, Addresses::free()?);
        let mut processes = Vec::new();
        for (service, addresses) in [
            (petty_ingest::Ingest::NAME, ingest),
            (petty_behavior::Behavior::NAME, Addresses::free()?),
            (GATEWAY, http),
        ] {
            let mut environment = plan.environment(service, 0)?;
            let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
            set("PETTY_INSTANCE", format!("{service}-overload"));
            set("PETTY_LOG", "warn".to_owned());
            set("PETTY_ADMIN_LISTEN", addresses.admin.to_string());
            if service == GATEWAY {
                set("PETTY_HTTP_LISTEN", addresses.grpc.to_string());
                set("PETTY_GRPC_LISTEN", Addresses::free()?.grpc.to_string());
                set("PETTY_ENDPOINT_INGEST", format!("http://{}", ingest.grpc));
            } else {
                set("PETTY_GRPC_LISTEN", addresses.grpc.to_string());
            }
            let mut process = Process::of_us([service], environment, &cores)?;
            process
                .listening(addresses.grpc)
                .await
                .with_context(|| format!("start a replica of {service}"))?;
            processes.push((service, process));
        }
        Ok(Self { gateway: http.grpc, processes })
    }

    /// Sends all of it over ten times as many connections as are enough.
    pub(super) async fn overload(
        &self,
        batches: &Batches,
    ) -> anyhow::Result<(Duration, Counts, Vec<Memory>)> {
        // Before anything counts.
        let before = self.weigh()?;
        let mut seen = Vec::new();
        let watch = async {
            loop {
                tokio::time::sleep(EVERY).await;
                match self.weigh() {
                    Ok(weights) => seen.push(weights),
                    Err(error) => return error,
                }
            }
        };
        let (took, counts) = tokio::select! {
            sent = batches.send_over(self.gateway, CONNECTIONS * TIMES) => sent?,
            error = watch => return Err(error),
        };
        let third = seen.len() / 3;
        let most =
            |some: &[Vec<f64>], nth: usize| some.iter().map(|weights| weights[nth]).fold(0.0, f64::max);
        let memories = self.processes.iter().enumerate().map(|(nth, (service, _))| Memory {
            service,
            before: before[nth],
            most: most(&seen, nth),
            grew: most(&seen[2 * third..], nth) / most(&seen[third..2 * third], nth),
        });
        let memories = memories.collect();
        Ok((took, counts, memories))
    }

    /// Ends them, so that what they held is others' at once.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        // The gateway first, whom nobody asks any more.
        for (_, process) in self.processes.into_iter().rev() {
            process.end().await?;
        }
        Ok(())
    }

    fn weigh(&self) -> anyhow::Result<Vec<f64>> {
        self.processes.iter().map(|(_, process)| Ok(rss_mib(process.pid)? * MB)).collect()
    }
}
