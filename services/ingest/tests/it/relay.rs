//! Readings over one long call.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::SignedDuration;
use petty_chassis::access::Role;
use petty_proto::ingest::v1 as wire;
use petty_testbench::reason;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use crate::overload::HeldTable;
use crate::world::{Person, World, ago, reading, refusal};

const SOON: Duration = Duration::from_secs(20);
/// What a revocation may take to count.
const IN_FORCE: Duration = Duration::from_secs(5);

/// A call that goes on.
struct Relay {
    messages: mpsc::Sender<wire::StreamReadingsRequest>,
    answers: Streaming<wire::StreamReadingsResponse>,
}

impl Relay {
    async fn open(world: &World, person: &Person) -> Result<Self, Status> {
        let (messages, mut receiver) = mpsc::channel(64);
        let sent = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        let answers = world.relay().stream_readings(world.going_on(person, sent)).await?.into_inner();
        Ok(Self { messages, answers })
    }

    async fn send(&self, number: i64, readings: Vec<wire::Reading>) {
        self.messages.send(wire::StreamReadingsRequest { number, readings }).await.unwrap();
    }

    async fn answer(&mut self) -> Result<wire::StreamReadingsResponse, Status> {
        timeout(SOON, self.answers.message())
            .await
            .expect("an answer in time")
            .map(|answer| answer.expect("no end"))
    }

    /// Why it ends, within a time.
    async fn end(&mut self, within: Duration) -> Status {
        let ending = async {
            loop {
                match self.answers.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("it ended for no reason"),
                    Err(status) => return status,
                }
            }
        };
        timeout(within, ending).await.expect("an end in time")
    }
}

#[tokio::test]
async fn each_message_is_answered_in_order_once_it_is_on_disk() {
    let world = World::new("relay_order").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    let mut relay = Relay::open(&world, &owner).await.unwrap();
    for number in 1..=40_i64 {
        let at = |nth: i64| ago(number * 100 + nth);
        let mut readings: Vec<_> = (0..number).map(|nth| reading("collar-1", at(nth))).collect();
        readings.push(reading("collar-1", at(0)));
        readings.push(wire::Reading { heart_rate: Some(999.0), ..reading("collar-1", at(99)) });
        relay.send(number * 3, readings).await;
    }
    for number in 1..=40_i32 {
        let answer = relay.answer().await.unwrap();
        assert_eq!(answer.number, i64::from(number) * 3);
        assert_eq!((answer.accepted, answer.duplicates), (number, 1));
        let [rejected] = answer.rejected.as_slice() else { panic!("{answer:?}") };
        assert_eq!((rejected.index, rejected.field.as_str()), (number + 1, "heart_rate"));
        let stored = world.stored().await.len();
        assert!(stored >= usize::try_from(number * (number + 1) / 2).unwrap(), "{number}: {stored}");
    }
    drop(relay.messages);
    assert!(relay.answers.next().await.is_none(), "it ends with its sender");
}

#[tokio::test]
async fn what_is_no_message_ends_the_call_by_name_and_what_came_before_stays() {
    let world = World::new("relay_bad").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    let good = || vec![reading("collar-1", ago(1))];
    for (number, readings, field) in [
        (1, good(), "number"),
        (0, good(), "number"),
        (-1, good(), "number"),
        (2, Vec::new(), "readings"),
        (2, (0..1_001).map(|nth| reading("collar-1", ago(nth))).collect(), "readings"),
        // Too long, whatever it says.
        (2, vec![wire::Reading { collar_id: "c".repeat(1 << 20), ..wire::Reading::default() }], "message"),
    ] {
        let mut relay = Relay::open(&world, &owner).await.unwrap();
        relay.send(1, good()).await;
        relay.send(number, readings).await;
        assert_eq!(relay.answer().await.unwrap().number, 1);
        let status = relay.end(SOON).await;
        let expected = (Code::InvalidArgument, "INVALID_ARGUMENT".to_owned(), vec![field.to_owned()]);
        assert_eq!(refusal(&status), expected);
    }
    assert_eq!(world.stored().await.len(), 1);
}

#[tokio::test]
async fn who_may_not_send_does_not_get_in() {
    let world = World::new("relay_who").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    let reader = world.person_with("read");
    let nobody = Person { badge: None, ..world.person() };
    for (person, code) in [(&reader, Code::PermissionDenied), (&nobody, Code::Unauthenticated)] {
        let refused = Relay::open(&world, person).await.err().map(|status| status.code());
        assert_eq!(refused, Some(code));
    }
    let viewer = world.person();
    world.access.share(pet, viewer.account, Role::Viewer);
    let device = world.device("collar-1", pet, &owner);
    for (person, accepted, code) in [
        (&viewer, 0, Some("PERMISSION_DENIED")),
        (&world.person(), 0, Some("COLLAR_NOT_FOUND")),
        (&device, 1, None),
    ] {
        let mut relay = Relay::open(&world, person).await.unwrap();
        relay.send(1, vec![reading("collar-1", ago(5))]).await;
        let answer = relay.answer().await.unwrap();
        assert_eq!(answer.accepted, accepted);
        assert_eq!(answer.rejected.first().map(|rejected| rejected.code.as_str()), code);
    }
    assert_eq!(world.stored().await.len(), 1);
}

/// Sends a reading after the other, for as long as somebody reads them.
fn keep_sending(relay: &Relay) -> (impl Future<Output = ()> + use<>, Arc<AtomicI64>) {
    let (messages, count) = (relay.messages.clone(), Arc::new(AtomicI64::new(1)));
    let counted = count.clone();
    let sending = async move {
        loop {
            let number = counted.fetch_add(1, Ordering::AcqRel);
            let readings = vec![reading("collar-1", ago(number))];
            if messages.send(wire::StreamReadingsRequest { number, readings }).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    (sending, count)
}

#[tokio::test]
async fn a_session_that_ends_ends_the_call_and_nothing_is_taken_in_after_it() {
    let world = World::new("relay_revoked").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    let mut relay = Relay::open(&world, &owner).await.unwrap();
    let (sending, _count) = keep_sending(&relay);
    let revoking = async {
        relay.answer().await.unwrap();
        world.access.end_session(owner.badge.as_ref().unwrap().session_id());
        let status = relay.end(IN_FORCE).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "SESSION_ENDED"));
        world.stored().await.len()
    };
    // The sender learns of the end too, perhaps before the count is there.
    let sending = async {
        sending.await;
        std::future::pending::<std::convert::Infallible>().await
    };
    let stored = tokio::select! {
        stored = revoking => stored,
        never = sending => match never {},
    };
    // Nor by a call that is opened anew.
    assert!(Relay::open(&world, &owner).await.is_err());
    assert_eq!(world.stored().await.len(), stored);
}

#[tokio::test]
async fn a_token_that_expires_ends_the_call_with_the_next_message() {
    let world = World::new("relay_expired").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    let mut relay = Relay::open(&world, &owner).await.unwrap();
    relay.send(1, vec![reading("collar-1", ago(1))]).await;
    relay.answer().await.unwrap();
    world.clock.set(world.clock.now() + SignedDuration::from_hours(24));
    relay.send(2, vec![reading("collar-1", ago(2))]).await;
    let status = relay.end(IN_FORCE).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_EXPIRED"));
    assert_eq!(world.stored().await.len(), 1);
}

#[tokio::test]
async fn a_collar_that_is_taken_away_is_refused_alone_and_the_call_goes_on() {
    let world = World::new("relay_collar").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    world.owned(&owner, "collar-2");
    let mut relay = Relay::open(&world, &owner).await.unwrap();
    let both = |second| vec![reading("collar-1", ago(second)), reading("collar-2", ago(second))];
    relay.send(1, both(10)).await;
    assert_eq!(relay.answer().await.unwrap().accepted, 2);
    world.access.unshare(pet, owner.account);
    relay.send(2, both(9)).await;
    let answer = relay.answer().await.unwrap();
    assert_eq!((answer.accepted, answer.rejected[0].code.as_str()), (1, "COLLAR_NOT_FOUND"));
    // Longer than it takes to be decided on again.
    let told = timeout(Duration::from_millis(2_500), relay.answers.message()).await;
    assert!(told.is_err(), "the call goes on: {told:?}");
    relay.send(3, both(8)).await;
    assert_eq!(relay.answer().await.unwrap().accepted, 1);
}

/// By the contract so many messages of a call are worked on at once.
const WINDOW: i64 = 8;
/// And so many may be on their way: in the transport's window, and with the sender's own client. A message is nearly as long as one may be.
const ON_THEIR_WAY: i64 = 4;

#[tokio::test]
async fn a_sender_is_read_no_faster_than_the_disk_takes_it() {
    let world = World::new("relay_window").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    let working = || i64::try_from(world.base.context.tasks.running("relay-message")).unwrap();
    let held = HeldTable::hold(&world).await;
    let (pulled, messages) = (Arc::new(AtomicI64::new(0)), 40_i64);
    let counted = pulled.clone();
    // One that is kept, and many that are refused for a name of a thousand bytes.
    let long = vec![wire::Reading { collar_id: "c".repeat(1_000), ..reading("collar-1", ago(1)) }; 900];
    let sent = futures::stream::iter(1..=messages).map(move |number| {
        counted.store(number, Ordering::Release);
        let readings = [vec![reading("collar-1", ago(number))], long.clone()].concat();
        wire::StreamReadingsRequest { number, readings }
    });
    let opened = world.relay().stream_readings(world.going_on(&owner, sent)).await;
    let mut answers = opened.unwrap().into_inner();
    let waited = timeout(Duration::from_secs(3), answers.message()).await;
    assert!(waited.is_err(), "nothing is answered that is not on disk: {waited:?}");
    assert_eq!(working(), WINDOW, "no more, and no fewer");
    let read = pulled.load(Ordering::Acquire);
    assert!((WINDOW..=WINDOW + ON_THEIR_WAY).contains(&read), "{read} messages were read");
    held.release().await;
    for number in 1..=messages {
        let answer = timeout(SOON, answers.message()).await.unwrap().unwrap().unwrap();
        let working = working();
        assert_eq!((answer.number, answer.accepted, answer.rejected.len()), (number, 1, 900));
        assert!(working <= WINDOW, "{working} are worked on once {number} is answered");
    }
}
