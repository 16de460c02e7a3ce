//! More than the disk takes: refused at once, and nothing of it kept; what was let in is kept, and then there is room again.

use std::time::Duration;

use futures::future::join_all;
use petty_chassis::postgres::Error;
use petty_proto::ingest::v1 as wire;
use petty_testbench::reason;
use tokio::sync::oneshot;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::world::{Person, World, ago, reading};

#[tokio::test]
async fn a_repetition_is_answered_no_earlier_than_what_it_repeats_is_on_disk() {
    let world = World::new("repeated_early").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    get_known(&world, &owner, "collar-1").await;
    let known = world.stored().await.len();
    let held = HeldTable::hold(&world).await;
    let one = || world.ingest_batch(&owner, vec![reading("collar-1", ago(5))]);
    let sent = futures::future::select_all((0..3).map(|_| Box::pin(one())));
    let waited = tokio::time::timeout(Duration::from_secs(1), sent).await;
    assert!(waited.is_err(), "nothing of it is on disk");
    // Those went away; what they sent may be written all the same, once.
    let (again, ()) = tokio::join!(async { tokio::join!(one(), one()) }, held.release());
    let told = |answer: &wire::IngestReadingsResponse| answer.accepted + answer.duplicates;
    let (first, second) = (again.0.unwrap(), again.1.unwrap());
    assert_eq!((told(&first), told(&second)), (1, 1));
    assert!(first.accepted + second.accepted <= 1);
    assert_eq!(world.stored().await.len(), known + 1);
}

/// The table of readings, held so that no flush gets through.
pub(crate) struct HeldTable {
    release: oneshot::Sender<()>,
    released: tokio::task::JoinHandle<()>,
}

impl HeldTable {
    pub(crate) async fn hold(world: &World) -> Self {
        let (release, released) = oneshot::channel();
        let (holds, held) = oneshot::channel();
        let db = world.base.db.clone();
        // Ends with the test, at the latest.
        #[expect(clippy::disallowed_methods, reason = "a transaction beside the test's own work")]
        let released = tokio::spawn(async move {
            let channels = std::sync::Mutex::new(Some((holds, released)));
            let (db, channels) = (&db, &channels);
            db.transaction("hold", |tx| async move {
                tx.query("-- hold\nLOCK TABLE readings IN EXCLUSIVE MODE", &[]).await?;
                let taken = channels.lock().unwrap().take();
                if let Some((holds, released)) = taken {
                    let _heard = holds.send(());
                    let _released = released.await;
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        });
        held.await.unwrap();
        Self { release, released }
    }

    pub(crate) async fn release(self) {
        let _heard = self.release.send(());
        self.released.await.unwrap();
    }
}

fn readings(collar: &str, begin: i64, count: i64) -> Vec<wire::Reading> {
    (begin..begin + count).map(|second| reading(collar, ago(second))).collect()
}

/// A refusal for want of room, which says when to come again.
#[track_caller]
fn is_busy(refused: Result<wire::IngestReadingsResponse, Status>, why: &str) {
    let status = refused.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, why), "{status:?}");
    let again = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert!(again.is_some_and(|again| again > Duration::ZERO), "{status:?}");
}

/// Whose token was seen before is let in, or refused, without waiting for anything.
async fn get_known(world: &World, person: &Person, collar: &str) {
    world.ingest(person, reading(collar, ago(9_000))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_no_room_for_is_refused_and_what_was_let_in_is_kept() {
    let world = World::with_room("overload_room", 2_000).await;
    let people: Vec<Person> = (0..5).map(|_| world.person()).collect();
    for (nth, person) in people.iter().enumerate() {
        world.owned(person, &format!("collar-{nth}"));
        world.owned(person, &format!("other-{nth}"));
        get_known(&world, person, &format!("collar-{nth}")).await;
    }
    let held = HeldTable::hold(&world).await;
    let send = |nth: usize, collar: String, begin, count| {
        let (world, person) = (&world, &people[nth]);
        async move { world.ingest_batch(person, readings(&collar, begin, count)).await }
    };
    let waiting = join_all([
        send(0, "collar-0".to_owned(), 0, 200),
        send(1, "collar-1".to_owned(), 0, 900),
        send(2, "collar-2".to_owned(), 0, 800),
    ]);
    let refusing = async {
        is_busy(send(3, "collar-3".to_owned(), 0, 101).await, "OVERLOADED");
        // Who has their share is told so, and so is a collar.
        is_busy(send(1, "other-1".to_owned(), 0, 1).await, "ACCOUNT_BUSY");
        is_busy(send(0, "collar-0".to_owned(), 500, 51).await, "COLLAR_BUSY");
        let single = world.ingest(&people[1], reading("collar-1", ago(5_000))).await.unwrap_err();
        assert_eq!((single.code(), reason(&single).as_str()), (Code::ResourceExhausted, "ACCOUNT_BUSY"));
        assert_eq!(world.stored().await.len(), people.len(), "nothing more is on disk yet");
        held.release().await;
    };
    let (answers, ()) = tokio::join!(waiting, refusing);
    let accepted: Vec<i32> = answers.into_iter().map(|answer| answer.unwrap().accepted).collect();
    assert_eq!(accepted, [200, 900, 800]);
    let known = people.len();
    assert_eq!(
        world.stored().await.len(),
        known + 1_900,
        "nothing that was refused, and all that was let in"
    );
    // It recovers by itself.
    assert_eq!(send(3, "collar-3".to_owned(), 0, 1_000).await.unwrap().accepted, 1_000);
    assert_eq!(world.announced().await.len(), known + 2_900);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_floods_keeps_nobody_else_out() {
    let world = World::with_room("overload_flood", 4_000).await;
    let (flooder, quiet) = (world.person(), world.person());
    for nth in 0..40 {
        world.owned(&flooder, &format!("flood-{nth}"));
    }
    world.owned(&quiet, "quiet");
    get_known(&world, &flooder, "flood-0").await;
    get_known(&world, &quiet, "quiet").await;
    let held = HeldTable::hold(&world).await;
    let flood = join_all((0..40).map(|nth| {
        let (world, flooder) = (&world, &flooder);
        async move { world.ingest_batch(flooder, readings(&format!("flood-{nth}"), 0, 250)).await }
    }));
    let quiet_sends = async {
        // While the flood is at its height.
        let mine = world.ingest_batch(&quiet, readings("quiet", 0, 1_000));
        let (mine, ()) = tokio::join!(mine, held.release());
        mine.unwrap().accepted
    };
    let (flooded, accepted) = tokio::join!(flood, quiet_sends);
    assert_eq!(accepted, 1_000);
    let (let_in, refused): (Vec<_>, Vec<_>) = flooded.into_iter().partition(Result::is_ok);
    assert!(
        !let_in.is_empty() && refused.len() >= 40 / 2,
        "{} let in, {} refused",
        let_in.len(),
        refused.len()
    );
    for refused in refused {
        is_busy(refused, "ACCOUNT_BUSY");
    }
    assert_eq!(world.stored().await.len(), 2 + 1_000 + 250 * let_in.len());
}
