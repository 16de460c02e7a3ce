//! A pet's changes, as they come.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures::future::join_all;
use petty_chassis::access::Role;
use petty_chassis::postgres::Error;
use petty_chassis::types::PetId;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::timeline::v1::timeline_service_client::TimelineServiceClient;
use petty_proto::timeline::v1::timeline_service_server::{TimelineService as _, TimelineServiceServer};
use petty_proto::timeline::v1::timeline_update::Type;
use petty_proto::timeline::v1::{Entry, ListTimelineRequest, TimelineUpdate};
use petty_testbench::{eventually, field, reason};
use tokio::sync::oneshot;
use tonic::Code;

use crate::bench::{Bench, Told, plan};
use crate::following::{Updates, expected, open, request};

/// Two and a half pages of what a stream reads at once.
const MANY: i64 = 125;

fn walk(pet: PetId, nth: i64) -> Told {
    Told::new(pet, nth.unsigned_abs().into(), Behavior::Walking, nth, nth + 1)
}

async fn entries(bench: &Bench, pet: PetId) -> (Vec<Entry>, String) {
    let request = ListTimelineRequest {
        pet_id: pet.to_string(),
        end_time: Some(petty_testbench::at(10_000).into()),
        page_size: 1_000,
        ..Default::default()
    };
    let answer = bench.grpc.list_timeline(bench.request(bench.owner_of(pet), request)).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!(answer.next_page_token, "");
    (answer.entries, answer.last_event_id)
}

/// Which entries there are, and their versions.
fn standing(entries: Vec<Entry>) -> BTreeMap<String, i32> {
    entries.into_iter().map(|entry| (entry.event_id, entry.version)).collect()
}

#[tokio::test]
async fn each_change_is_told_once_with_the_next_number() {
    let bench = Bench::new("each_change").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    let mut stream = open(&bench.grpc, &bench, caller, "").await.unwrap();
    assert_eq!(stream.told(1).await, expected(&[(0, Type::Ready)]));
    let first = Told { open: true, ..Told::new(pet, 7, Behavior::Resting, 0, 300) };
    bench.tell(&first).await;
    let TimelineUpdate { id, r#type, entry } = stream.next().await.unwrap();
    assert_eq!((id.as_str(), r#type), ("1", Type::Entry.into()));
    assert_eq!(entry, entries(&bench, pet).await.0.pop(), "as it stands on the timeline");
    bench.tell(&Told { version: 2, to: 600, ..first }).await;
    // Says nothing new; is not of interest; is older.
    bench.tell(&Told { version: 3, to: 600, ..first }).await;
    bench.tell(&Told::new(pet, 8, Behavior::Unknown, 0, 300)).await;
    bench.tell(&first).await;
    bench.tell(&Told { version: 4, superseded: true, ..first }).await;
    // Gone already.
    bench.tell(&Told { version: 5, superseded: true, ..first }).await;
    bench.tell(&Told::new(pet, 9, Behavior::Running, 0, 300)).await;
    let told = expected(&[(2, Type::Entry), (3, Type::Removed), (4, Type::Entry)]);
    assert_eq!(stream.told(3).await, told);
    assert!(stream.is_silent());
    let mut again = open(&bench.grpc, &bench, caller, "1").await.unwrap();
    let [_, removed, _] = again.take(3).await.try_into().unwrap();
    let removed = removed.entry.unwrap();
    assert_eq!((removed.event_id, removed.pet_id), (first.id(), pet.to_string()));
    assert_eq!(
        open(&bench.grpc, &bench, caller, "").await.unwrap().told(1).await,
        expected(&[(4, Type::Ready)])
    );
    assert_eq!(entries(&bench, pet).await.1, "4");
}

#[tokio::test]
async fn a_change_that_says_nothing_new_still_raises_the_version() {
    let bench = Bench::new("same_again").await;
    let pet = bench.pet_id();
    bench.tell(&walk(pet, 1)).await;
    bench.tell(&Told { version: 2, ..walk(pet, 1) }).await;
    let (found, last) = entries(&bench, pet).await;
    assert_eq!((found[0].version, last.as_str()), (2, "1"));
}

#[tokio::test]
async fn a_stream_is_taken_up_at_any_number_without_gap_or_duplicate() {
    let bench = Bench::new("any_cut").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    for nth in 1..=MANY {
        bench.tell(&walk(pet, nth)).await;
    }
    let many = usize::try_from(MANY).unwrap();
    let whole = open(&bench.grpc, &bench, caller, "0").await.unwrap().take(many).await;
    for cut in 0..=many {
        let mut rest = open(&bench.grpc, &bench, caller, &cut.to_string()).await.unwrap();
        assert_eq!(rest.take(many - cut).await, whole[cut..], "cut behind {cut}");
        assert!(rest.is_silent(), "cut behind {cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_again_and_again_misses_nothing_of_what_comes_meanwhile() {
    let bench = Bench::new("breaking").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    let writing = async {
        for nth in 1..=MANY {
            bench.tell(&walk(pet, nth)).await;
        }
    };
    let reading = async {
        let (mut last, mut seen) = (0_i64, Vec::new());
        while last < MANY {
            let mut stream = open(&bench.grpc, &bench, caller, &last.to_string()).await.unwrap();
            // Breaks at another place each time.
            for update in stream
                .take(usize::try_from(1 + last % 7).unwrap().min(MANY.abs_diff(last).try_into().unwrap()))
                .await
            {
                last = update.id.parse().unwrap();
                seen.push((last, update.entry.unwrap().event_id));
            }
        }
        seen
    };
    let ((), seen) = tokio::join!(writing, reading);
    assert_eq!(seen, (1..=MANY).map(|nth| (nth, walk(pet, nth).id())).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_have_no_gaps_and_show_in_their_order_however_many_write() {
    let bench = Bench::new("writers").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    let mut stream = open(&bench.grpc, &bench, caller, "0").await.unwrap();
    let writer = |offset: i64| {
        let bench = &bench;
        async move {
            for nth in 0..20 {
                bench.tell(&walk(pet, offset * 20 + nth + 1)).await;
            }
        }
    };
    let writing = join_all((0..8).map(writer));
    let polling = async {
        let sql = "-- numbers\nSELECT sequence FROM changes ORDER BY sequence";
        let mut most = 0;
        while most < 160 {
            let found = bench.query(sql, &[]).await;
            let numbers: Vec<i64> = found.iter().map(|row| row.get(0)).collect();
            most = i64::try_from(numbers.len()).unwrap();
            assert_eq!(numbers, (1..=most).collect::<Vec<_>>());
        }
    };
    let following = stream.take(160);
    let (_, (), updates) = tokio::join!(writing, polling, following);
    let numbers: Vec<i64> = updates.iter().map(|update| update.id.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=160).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_what_was_told_until_its_last_event_id() {
    let bench = Bench::new("list_then_stream").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    let writer = |offset: i64| {
        let bench = &bench;
        async move {
            for nth in 1..=30 {
                bench.tell(&walk(pet, offset + nth)).await;
                if nth % 3 == 0 {
                    bench.tell(&Told { version: 2, superseded: true, ..walk(pet, offset + nth - 1) }).await;
                }
            }
        }
    };
    // 4 × (30 + 10) changes.
    let writing = join_all([0, 100, 200, 300].map(writer));
    let listing = async {
        let mut lists = Vec::new();
        while lists.last().is_none_or(|(_, last)| *last < 160) {
            let (found, last) = entries(&bench, pet).await;
            lists.push((standing(found), last.parse::<usize>().unwrap()));
        }
        lists
    };
    let (_, lists) = tokio::join!(writing, listing);
    let updates = open(&bench.grpc, &bench, caller, "0").await.unwrap().take(160).await;
    for (list, last) in lists {
        let mut told = BTreeMap::new();
        for update in &updates[..last] {
            let entry = update.entry.clone().unwrap();
            if update.r#type() == Type::Removed {
                told.remove(&entry.event_id).unwrap();
            } else {
                told.insert(entry.event_id, entry.version);
            }
        }
        assert_eq!(list, told, "as of {last}");
    }
}

#[tokio::test]
async fn an_id_of_the_future_is_answered_with_a_resync() {
    let bench = Bench::new("future").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    bench.tell(&walk(pet, 1)).await;
    for future in ["2", "1000", "99999999999999999999"] {
        let mut stream = open(&bench.grpc, &bench, caller, future).await.unwrap();
        assert_eq!(stream.told(1).await, expected(&[(1, Type::Resync)]), "{future}");
        bench.tell(&Told { version: 2, to: 900, ..walk(pet, 1) }).await;
        bench.tell(&Told { version: 2, superseded: true, ..walk(pet, 9) }).await;
        if future == "2" {
            assert_eq!(stream.told(1).await, expected(&[(2, Type::Entry)]), "and goes on");
            return;
        }
    }
}

#[tokio::test]
async fn what_is_no_id_is_refused_before_access_is_asked() {
    let bench = Bench::new("no_id").await;
    let (pet, nobody) = (bench.pet_id(), bench.account_id());
    for text in ["latest", "-1", "01", " 1"] {
        let status = open(&bench.grpc, &bench, (nobody, pet), text).await.err().unwrap();
        assert_eq!(field(&status), "last_event_id", "{text}");
    }
}

#[tokio::test]
async fn viewers_may_follow_and_strangers_find_nothing() {
    let bench = Bench::new("viewers").await;
    let (pet, viewer) = (bench.pet_id(), bench.account_id());
    bench.owner_of(pet);
    let status = open(&bench.grpc, &bench, (viewer, pet), "").await.err().unwrap();
    assert_eq!((status.code(), reason(&status)), (Code::NotFound, "PET_NOT_FOUND".to_owned()));
    bench.access.share(pet, viewer, Role::Viewer);
    let mut stream = open(&bench.grpc, &bench, (viewer, pet), "").await.unwrap();
    bench.tell(&walk(pet, 1)).await;
    assert_eq!(stream.told(2).await, expected(&[(0, Type::Ready), (1, Type::Entry)]));
    bench.access.unshare(pet, viewer);
    let ended = stream.next().await.unwrap_err();
    assert_eq!(reason(&ended), "PET_NOT_FOUND");
}

#[tokio::test]
async fn pets_do_not_hear_of_each_other() {
    let bench = Bench::new("each_other").await;
    let (pet, other) = (bench.pet_id(), bench.pet_id());
    let mut stream = open(&bench.grpc, &bench, (bench.owner_of(pet), pet), "").await.unwrap();
    let mut others = open(&bench.grpc, &bench, (bench.owner_of(other), other), "0").await.unwrap();
    bench.tell(&walk(other, 1)).await;
    bench.tell(&walk(pet, 2)).await;
    assert_eq!(others.next().await.unwrap().entry.unwrap().pet_id, other.to_string());
    assert_eq!(stream.told(2).await, expected(&[(0, Type::Ready), (1, Type::Entry)]));
}

#[tokio::test]
async fn no_more_streams_are_opened_than_are_allowed() {
    let limited = plan().with("PETTY_STREAMS_MAX", "3").with("PETTY_STREAMS_PER_CALLER", "2");
    let bench = Bench::on(limited.lay("limits").await).await;
    let pet = bench.pet_id();
    let (owner, viewer, other) = (bench.owner_of(pet), bench.account_id(), bench.account_id());
    bench.access.share(pet, viewer, Role::Viewer);
    bench.access.share(pet, other, Role::Viewer);
    let one = open(&bench.grpc, &bench, (owner, pet), "").await.unwrap();
    let two = open(&bench.grpc, &bench, (owner, pet), "").await.unwrap();
    let third = open(&bench.grpc, &bench, (viewer, pet), "").await.unwrap();
    for account in [owner, other] {
        let status = open(&bench.grpc, &bench, (account, pet), "").await.err().unwrap();
        assert_eq!(
            (status.code(), reason(&status)),
            (Code::ResourceExhausted, "TOO_MANY_STREAMS".to_owned())
        );
    }
    drop((one, third));
    open(&bench.grpc, &bench, (owner, pet), "").await.unwrap();
    open(&bench.grpc, &bench, (other, pet), "").await.unwrap();
    drop(two);
}

/// As a gateway opens them for two sockets, each with as many pets as it may have.
#[tokio::test]
async fn an_account_may_watch_two_hundred_pets() {
    let bench = Bench::new("many_pets").await;
    let owner = bench.account_id();
    let mut streams = Vec::new();
    for _ in 0..200 {
        let pet = bench.pet_id();
        bench.access.share(pet, owner, Role::Owner);
        let mut stream = open(&bench.grpc, &bench, (owner, pet), "").await.unwrap();
        assert_eq!(stream.told(1).await, expected(&[(0, Type::Ready)]));
        streams.push(stream);
    }
    let pet = bench.pet_id();
    bench.access.share(pet, owner, Role::Owner);
    let status = open(&bench.grpc, &bench, (owner, pet), "").await.err().unwrap();
    assert_eq!(reason(&status), "TOO_MANY_STREAMS");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_gets_everything_in_order_and_keeps_nobody_waiting() {
    let bench = Bench::new("slow").await;
    let pet = bench.pet_id();
    let owner = bench.owner_of(pet);
    let mut client = TimelineServiceClient::new(bench.serve(TimelineServiceServer::new(bench.grpc.clone())));
    let slow = client.stream_timeline(bench.request(owner, request(pet, ""))).await.unwrap();
    let mut slow = Updates::new(slow.into_inner());
    assert_eq!(slow.told(1).await, expected(&[(0, Type::Ready)]));
    let mut quick = open(&bench.grpc, &bench, (owner, pet), "0").await.unwrap();
    // More than a connection holds.
    for nth in 1..=4 * MANY {
        bench.tell(&walk(pet, nth)).await;
    }
    let many = usize::try_from(4 * MANY).unwrap();
    assert_eq!(slow.take(many).await, quick.take(many).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_a_database_that_does_not_answer() {
    let bench = Bench::new("no_answer").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    let mut stream = open(&bench.grpc, &bench, caller, "").await.unwrap();
    assert_eq!(stream.told(1).await, expected(&[(0, Type::Ready)]));
    let (locked, is_locked) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let channels = Mutex::new(Some((locked, released)));
    let holding = bench.base.db.transaction("hold", |tx| {
        let channels = channels.lock().unwrap().take();
        async move {
            tx.execute("-- hold\nLOCK TABLE heads IN ACCESS EXCLUSIVE MODE", &[]).await?;
            let (locked, released) = channels.unwrap();
            locked.send(()).unwrap();
            released.await.unwrap();
            Ok::<_, Error>(())
        }
    });
    let asking = async {
        is_locked.await.unwrap();
        // A hint that the stream follows, into a read that fails; whoever opens one then is told so.
        let hint = [&pet.0.into_bytes()[..], &9_i64.to_be_bytes()[..]].concat();
        bench.base.wake.publish("timeline", hint);
        for _ in 0..2 {
            let status = open(&bench.grpc, &bench, caller, "").await.err().unwrap();
            assert_eq!((status.code(), reason(&status)), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
        }
        release.send(()).unwrap();
        bench.tell(&walk(pet, 1)).await;
    };
    let (held, (), told) = tokio::join!(holding, asking, stream.told(1));
    held.unwrap();
    assert_eq!(told, expected(&[(1, Type::Entry)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_process_drains() {
    let bench = Bench::new("draining").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    let mut stream = open(&bench.grpc, &bench, caller, "").await.unwrap();
    stream.told(1).await;
    bench.drain();
    assert_eq!(reason(&stream.next().await.unwrap_err()), "DRAINING");
    let tasks = &bench.base.context.tasks;
    for task in ["stream-reader", "stream-hints", "stream-poll"] {
        eventually(task, || async { tasks.running(task) == 0 }).await;
    }
    let refused = open(&bench.grpc, &bench, caller, "").await.err().unwrap();
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, "DRAINING".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_a_pet_takes_its_changes_too() {
    let bench = Bench::new("erasing").await;
    let (pet, other) = (bench.pet_id(), bench.pet_id());
    for nth in 1..=3 {
        bench.tell(&walk(pet, nth)).await;
        bench.tell(&walk(other, 10 + nth)).await;
    }
    bench.apply(&bench.erasing(pet)).await.unwrap();
    for table in ["changes", "heads", "entries"] {
        let sql = format!("-- left\nSELECT DISTINCT pet_id::text FROM {table}");
        assert_eq!(bench.rows(&sql).await, [other.to_string()], "{table}");
    }
    // Until auth's word is heard, whoever comes back is told that nothing is known any more.
    let mut stream = open(&bench.grpc, &bench, (bench.owner_of(pet), pet), "2").await.unwrap();
    assert_eq!(stream.told(1).await, expected(&[(0, Type::Resync)]));
    bench.tell(&walk(pet, 4)).await;
    assert!(stream.is_silent());
}
