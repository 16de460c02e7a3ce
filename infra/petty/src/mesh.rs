//! The environment of each service, for a mesh on one machine: `petty up` and the tests make it here, alike.
//!
//! Every service gets its own key, its own database roles, and the addresses of the others; nothing is shared but the two
//! servers.

mod keys;
mod ports;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use petty_provision::{ServiceDatabase, Stack};
use secrecy::ExposeSecret as _;

pub use keys::Keys;
pub use ports::free_address;

/// The services with a database, in the order they are started in.
pub const SERVICES: [&str; 6] = ["auth", "ingest", "behavior", "nutrition", "timeline", "feedback"];
/// The one without.
pub const GATEWAY: &str = "gateway";
/// Whoever operates the mesh: no service, but known to the services by a key of its own.
pub const OPERATOR: &str = "operator";
/// A hub or relay that sends readings straight to ingest: no service either, and known in the same way.
pub const RELAY: &str = "relay";

/// What a plan says itself, to all services or to one; and where each service is.
const PLANNED: [&str; 13] = [
    "PETTY_GRPC_LISTEN",
    "PETTY_ADMIN_LISTEN",
    "PETTY_HTTP_LISTEN",
    "PETTY_INSTANCE",
    "PETTY_EVENTS_REDIS_URL",
    "PETTY_SERVICE_KEY",
    "PETTY_SERVICE_KEYS",
    "PETTY_DATABASE_URL",
    "PETTY_MIGRATION_URL",
    "PETTY_MAIL_DIR",
    "PETTY_PUBLIC_URL",
    "PETTY_KEY_ENCRYPTION_KEY",
    "PETTY_ARCHIVE_URL",
];
const ENDPOINT: &str = "PETTY_ENDPOINT_";

/// Whether a variable is the plan's to set: what [`Plan::extra`] says of it would have no effect.
#[must_use]
pub fn is_planned(variable: &str) -> bool {
    PLANNED.contains(&variable) || variable.starts_with(ENDPOINT)
}

/// Where a service listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// For gRPC; of the gateway's replicas but the first, for HTTP.
    pub grpc: SocketAddr,
    /// For the admin port.
    pub admin: SocketAddr,
}

impl Addresses {
    /// Free ones on loopback.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn free() -> anyhow::Result<Self> {
        Ok(Self { grpc: free_address()?, admin: free_address()? })
    }
}

/// Everything that the environments of a mesh are made from.
#[derive(Debug)]
pub struct Plan {
    databases: BTreeMap<&'static str, ServiceDatabase>,
    redis_url: secrecy::SecretString,
    keys: Keys,
    /// Where feedback keeps labelled episodes.
    archive: PathBuf,
    /// Where auth writes mail.
    mail: PathBuf,
    /// Where every replica of every service listens.
    pub replicas: BTreeMap<&'static str, Vec<Addresses>>,
    /// Where the gateway takes HTTP.
    pub http: SocketAddr,
    /// Set in every service's environment, where it is not [planned](is_planned).
    pub extra: BTreeMap<String, String>,
}

impl Plan {
    /// Makes the databases and keys that are not there yet, and gives one replica of everything an address.
    ///
    /// # Errors
    /// Where a database cannot be made, the keys cannot be kept, or no port is free.
    pub async fn make(stack: &Stack, http: SocketAddr) -> anyhow::Result<Self> {
        let mut databases = BTreeMap::new();
        for service in SERVICES {
            let database = stack.postgres().ensure_database(service).await;
            databases.insert(service, database.with_context(|| format!("make the database of {service}"))?);
        }
        let keys = Keys::load_or_make(&stack.data_dir().join("keys.json"))?;
        let mut replicas = BTreeMap::new();
        for service in SERVICES.into_iter().chain([GATEWAY]) {
            replicas.insert(service, vec![Addresses::free()?]);
        }
        let redis_url = stack.redis().url();
        let archive = stack.data_dir().join("archive");
        let mail = stack.data_dir().join("mail");
        Ok(Self { databases, redis_url, keys, archive, mail, replicas, http, extra: BTreeMap::new() })
    }

    /// The databases, by service.
    #[must_use]
    pub fn databases(&self) -> &BTreeMap<&'static str, ServiceDatabase> {
        &self.databases
    }

    /// The key by which the services know somebody.
    ///
    /// # Errors
    /// Where nobody is called so.
    pub fn key(&self, of: &str) -> anyhow::Result<secrecy::SecretString> {
        self.keys.private(of)
    }

    /// The environment of a service's replica. Holds secrets.
    ///
    /// # Errors
    /// Where the plan has no such replica.
    pub fn environment(
        &self,
        service: &'static str,
        replica: usize,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let addresses = self.replicas.get(service).and_then(|all| all.get(replica));
        let addresses =
            addresses.with_context(|| format!("the plan has no replica {replica} of {service}"))?;
        let mut environment = self.extra.clone();
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        set("PETTY_GRPC_LISTEN", addresses.grpc.to_string());
        set("PETTY_ADMIN_LISTEN", addresses.admin.to_string());
        set("PETTY_INSTANCE", format!("{service}-{replica}"));
        set("PETTY_EVENTS_REDIS_URL", self.redis_url.expose_secret().to_owned());
        set("PETTY_SERVICE_KEY", self.keys.private(service)?.expose_secret().to_owned());
        set("PETTY_SERVICE_KEYS", self.keys.public()?);
        for (peer, replicas) in self.replicas.iter().filter(|(peer, _)| **peer != GATEWAY) {
            let list = replicas
                .iter()
                .map(|replica| format!("http://{}", replica.grpc))
                .collect::<Vec<_>>()
                .join(",");
            set(&format!("{ENDPOINT}{}", peer.to_uppercase()), list);
        }
        if let Some(database) = self.databases.get(service) {
            set("PETTY_DATABASE_URL", database.runtime_url.expose_secret().to_owned());
            set("PETTY_MIGRATION_URL", database.owner_url.expose_secret().to_owned());
        }
        match service {
            "auth" => {
                let mail = self.mail.to_str().context("the data directory's path is not UTF-8")?;
                set("PETTY_MAIL_DIR", mail.to_owned());
                set("PETTY_PUBLIC_URL", format!("http://{}", self.http));
                set("PETTY_KEY_ENCRYPTION_KEY", self.keys.encryption_key().expose_secret().to_owned());
            }
            "feedback" => {
                let archive = self.archive.to_str().context("the data directory's path is not UTF-8")?;
                set("PETTY_ARCHIVE_URL", archive.to_owned());
            }
            GATEWAY => {
                let http = if replica == 0 { self.http } else { addresses.grpc };
                set("PETTY_HTTP_LISTEN", http.to_string());
                // No balancer stands before it that would have to come to know: it need not take longer to stop.
                environment.entry("PETTY_HTTP_DRAIN_PAUSE".to_owned()).or_insert_with(|| "0s".to_owned());
            }
            _ => {}
        }
        Ok(environment)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_a_plan_says_is_known_and_nobody_elses_to_set() {
        let dir = tempfile::tempdir().unwrap();
        let url = || secrecy::SecretString::from("postgres://127.0.0.1:1/x");
        let database =
            |name: &str| ServiceDatabase { name: name.to_owned(), owner_url: url(), runtime_url: url() };
        let all = || SERVICES.into_iter().chain([GATEWAY]);
        let mut plan = Plan {
            databases: SERVICES.into_iter().map(|service| (service, database(service))).collect(),
            redis_url: "redis://127.0.0.1:1".into(),
            keys: Keys::load_or_make(&dir.path().join("keys.json")).unwrap(),
            archive: "archive".into(),
            mail: "mail".into(),
            replicas: all().map(|service| (service, vec![Addresses::free().unwrap()])).collect(),
            http: free_address().unwrap(),
            extra: BTreeMap::new(),
        };
        let environments =
            |plan: &Plan| all().map(|service| plan.environment(service, 0).unwrap()).collect::<Vec<_>>();
        let said: BTreeSet<String> =
            environments(&plan).into_iter().flatten().map(|(name, _)| name).collect();
        plan.extra = said.iter().map(|name| (name.clone(), "else".to_owned())).collect();
        let with_extra = environments(&plan);
        for name in &said {
            let is_overruled = with_extra.iter().any(|environment| environment[name] != "else");
            assert_eq!(is_overruled, is_planned(name), "{name}");
        }
        assert!(PLANNED.iter().all(|name| said.contains(*name)));
        assert!(is_planned("PETTY_ENDPOINT_AUTH") && !is_planned("PETTY_RATE_READ"));
    }
}
