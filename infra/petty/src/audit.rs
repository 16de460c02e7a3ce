//! `petty audit`: whether the audit log is what was written.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use petty_auth::audit::verify;
use petty_auth::domain::chain::Head;
use petty_chassis::config::{Environment, PostgresConfig, load};
use petty_chassis::postgres::Db;
use petty_proto::auth::v1::{AuditHead, VerifyAuditLogRequest, VerifyAuditLogResponse};

use crate::cli::{AuditArgs, AuditCommand};
use crate::operator::{Operator, refused};

/// Does what the command says; 1 where something is wrong.
///
/// # Errors
/// Where neither auth nor its database can be asked, or the notes cannot be read or written.
pub async fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let AuditCommand::Verify { database_url, anchors } = args.command;
    let noted = anchors.as_deref().map(read).transpose()?.unwrap_or_default();
    let compared = noted.len();
    let found = match database_url {
        Some(url) => in_database(url, &noted).await?,
        None => through_auth(&Operator::new(&args.operator).await?, noted).await?,
    };
    let VerifyAuditLogResponse { entries, heads, faults } = found;
    let mut text = String::new();
    for fault in &faults {
        text.push_str(fault);
        text.push('\n');
    }
    if faults.is_empty() {
        text.push_str(&format!("{entries} entries in {} chains: as they were written", heads.len()));
        text.push_str(if compared > 0 { ", and they go on from what was noted.\n" } else { ".\n" });
        if let Some(path) = &anchors {
            write(path, &heads)?;
            text.push_str(&format!("The ends are noted in {}.\n", path.display()));
        }
    } else {
        text.push_str(&format!("{} faults: the audit log is not what was written.\n", faults.len()));
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn through_auth(
    operator: &Operator,
    anchors: Vec<AuditHead>,
) -> anyhow::Result<VerifyAuditLogResponse> {
    let request = operator.request(VerifyAuditLogRequest { anchors })?;
    let answer = operator.operations().verify_audit_log(request).await;
    Ok(answer.map_err(|status| refused("auth", &status))?.into_inner())
}

async fn in_database(url: String, noted: &[AuditHead]) -> anyhow::Result<VerifyAuditLogResponse> {
    let tls = load(&Environment::from_process()).map_err(|faults| anyhow::anyhow!("{faults}"))?;
    let config = PostgresConfig { runtime_url: url.into(), owner_url: None, pool_size: 1, tls };
    let db = Db::connect(&config).context("the database cannot be asked at its address")?;
    let anchors = noted.iter().map(head).collect::<anyhow::Result<Vec<_>>>()?;
    let found = verify(&db, &anchors).await.context("read the audit log")?;
    let noted = |head: &Head| AuditHead {
        chain: i32::from(head.chain),
        place: head.place,
        hash: hex::encode(&head.hash),
    };
    Ok(VerifyAuditLogResponse {
        entries: found.entries,
        heads: found.heads.iter().map(noted).collect(),
        faults: found.faults.iter().map(ToString::to_string).collect(),
    })
}

fn head(noted: &AuditHead) -> anyhow::Result<Head> {
    let chain = i16::try_from(noted.chain).context("a noted chain is none")?;
    let hash = hex::decode(&noted.hash).context("a noted hash is none")?;
    Ok(Head { chain, place: noted.place, hash })
}

/// What was noted; nothing where there is no file yet.
fn read(path: &Path) -> anyhow::Result<Vec<AuditHead>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    serde_json::from_slice(&text).with_context(|| format!("{} holds no ends of chains", path.display()))
}

/// Whole or not at all.
fn write(path: &Path, heads: &[AuditHead]) -> anyhow::Result<()> {
    let next = path.with_extension("next");
    fs::write(&next, serde_json::to_vec_pretty(heads)?)
        .and_then(|()| fs::rename(&next, path))
        .with_context(|| format!("write {}", path.display()))
}
