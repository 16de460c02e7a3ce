//! What `petty up` says once all is ready: to people, and to programs in the ready file.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use petty_provision::Stack;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::demo::{DEMO_CAT_COLLAR, DEMO_COLLAR, DEMO_EMAIL, Demo};
use crate::mesh::{Keys, Plan};

/// The staff account's address.
pub(super) const STAFF_EMAIL: &str = "staff@petty.example";

/// Writes addresses and credentials, for its owner only, whole or not at all.
pub(super) fn write(path: &Path, stack: &Stack, plan: &Plan, keys: &Keys) -> anyhow::Result<()> {
    let services: Map<String, Value> = plan
        .replicas
        .iter()
        .filter_map(|(service, replicas)| {
            let first = replicas.first()?;
            let grpc = (*service != crate::mesh::GATEWAY).then(|| format!("http://{}", first.grpc));
            Some(((*service).to_owned(), json!({"grpc": grpc, "admin": format!("http://{}", first.admin)})))
        })
        .collect();
    let databases: Map<String, Value> = plan
        .databases()
        .iter()
        .map(|(service, database)| {
            let urls = json!({
                "name": database.name,
                "owner_url": database.owner_url.expose_secret(),
                "runtime_url": database.runtime_url.expose_secret(),
            });
            ((*service).to_owned(), urls)
        })
        .collect();
    let postgres = stack.postgres();
    let redis = stack.redis();
    let ready = json!({
        "gateway": format!("http://{}", plan.http),
        "pid": std::process::id(),
        "data_dir": stack.data_dir(),
        "services": services,
        "postgres": {
            "host": postgres.host(),
            "port": postgres.port(),
            "admin_url": postgres.admin_url().expose_secret(),
            "databases": databases,
        },
        "redis": {"host": redis.host(), "port": redis.port(), "url": redis.url().expose_secret()},
        "staff": {"email": STAFF_EMAIL, "password": keys.demo_password()},
        "demo": {
            "email": DEMO_EMAIL,
            "password": keys.demo_password(),
            "collar_id": DEMO_COLLAR,
            "cat_collar_id": DEMO_CAT_COLLAR,
        },
    });
    let beside = path.with_extension("new");
    let _none = fs::remove_file(&beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .with_context(|| format!("write {}", beside.display()))?;
    file.write_all(&serde_json::to_vec_pretty(&ready)?)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path).with_context(|| format!("write {}", path.display()))
}

/// Greets whoever started it, on standard output: with lines that can be pasted.
pub(super) fn greet(plan: &Plan, keys: &Keys, demo: Option<&Demo>, took: Duration) {
    let url = format!("http://{}", plan.http);
    let mut text = format!("\nPetty is ready after {:.1} s.\n\n  gateway   {url}\n", took.as_secs_f64());
    if let Some(demo) = demo {
        let (password, pet) = (keys.demo_password(), demo.pet_id());
        text.push_str(&format!(
            "  demo      {DEMO_EMAIL}, password {password}\n            \
             a dog and a cat, simulated: three days behind them, and live\n\
             \nTry it:\n\n\
             TOKEN=$(curl -s {url}/v1/auth/login -H 'content-type: application/json' \
             -d '{{\"email\": \"{DEMO_EMAIL}\", \"password\": \"{password}\"}}' | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\n\
             PET={pet}\n\
             curl -s {url}/v1/pets -H \"authorization: Bearer $TOKEN\"\n\
             curl -s {url}/v1/pets/$PET/timeline -H \"authorization: Bearer $TOKEN\"\n\
             curl -s '{url}/v1/pet-timeline?collar_id={DEMO_COLLAR}&hours=24' -H \"authorization: Bearer $TOKEN\"\n\
             curl -s {url}/v1/pets/$PET/plan -H \"authorization: Bearer $TOKEN\"\n\
             curl -sN {url}/v1/pets/$PET/stream -H \"authorization: Bearer $TOKEN\"\n"
        ));
    }
    text.push_str("\nCtrl-C stops everything.\n");
    let mut out = std::io::stdout().lock();
    // With nobody to read it, there is nothing to do about that.
    let _unread = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
