//! Verifies the audit log: each chain from its first entry to its end, and that no entry is outside of them.
//!
//! Reads alone, in steps, while the log goes on: what is checked is what stood there when it began.

use petty_chassis::postgres::{Db, Error};

use crate::domain::chain::{CHAINS, Fault, Head, Walk};
use crate::store::audit;

/// So many entries are read at a time.
const STEP: i64 = 1_000;
/// More faults than this are not listed.
const MOST_FAULTS: usize = 1_000;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How many entries the chains lead to.
    pub entries: i64,
    /// Where each chain ends: to be noted outside of the database, since who owns it could write all chains anew.
    pub heads: Vec<Head>,
    /// What is wrong; empty where nothing is.
    pub faults: Vec<Fault>,
}

/// Verifies all of the log, and that it goes on from where its chains once ended.
///
/// # Errors
/// Where the database is away.
pub async fn verify(db: &Db, anchors: &[Head]) -> Result<Verdict, Error> {
    let heads = db.read("audit_heads", |tx| async move { audit::heads(&tx).await }).await?;
    let mut faults: Vec<Fault> = (0..CHAINS)
        .filter(|chain| heads.iter().all(|head| head.chain != *chain))
        .map(|chain| Fault::Headless { chain })
        .collect();
    for head in &heads {
        faults.extend(walk(db, head, anchors).await?);
    }
    let most = i64::try_from(MOST_FAULTS).unwrap_or(i64::MAX);
    let unlinked = db.read("audit_unlinked", |tx| async move { audit::unlinked(&tx, most).await }).await?;
    faults.extend(unlinked.into_iter().map(|entry| Fault::Inserted { entry }));
    faults.truncate(MOST_FAULTS);
    Ok(Verdict { entries: heads.iter().map(|head| head.place).sum(), heads, faults })
}

async fn walk(db: &Db, head: &Head, anchors: &[Head]) -> Result<Vec<Fault>, Error> {
    let anchor = anchors.iter().find(|anchor| anchor.chain == head.chain && anchor.place > 0);
    let mut walk = Walk::new(head, anchor);
    loop {
        let (chain, after, last) = (head.chain, walk.place(), head.place);
        let links = db
            .read("audit_links", |tx| async move { audit::links(&tx, chain, after, last, STEP).await })
            .await?;
        links.iter().for_each(|link| walk.take(link));
        if links.is_empty() {
            return Ok(walk.end());
        }
    }
}
