//! What an operator does with what a consumer could not handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use petty_chassis::events::{
    Event, Failure, Handler, OperationsHandler, Outgoing, Part, inbox, outbox, topics,
};
use petty_chassis::grpc::gate::Guarded;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::telemetry::prometheus_text;
use petty_chassis::types::{Clock, PetId};
use petty_proto::events::v1 as wire;
use petty_proto::events::v1::DataErased;
use petty_proto::events::v1::dead_letter::Reason;
use petty_proto::events::v1::event_operations_service_server::EventOperationsService as _;
use petty_proto::events::v1::redrive_dead_letter_response::Outcome;
use petty_testbench::{Badge, Bench, SHARDS, a_dog, at, eventually, fields, now, reason};
use tonic::Request;

use crate::echo::plan;

/// Writes that a pet's data are erased, whatever it hears; refuses all until it is healed.
#[derive(Debug)]
struct Picky {
    clock: Clock,
    healed: AtomicBool,
    /// Refuses to split events, not to apply parts.
    splits: bool,
}

#[tonic::async_trait]
impl Handler for Picky {
    fn split(&self, event: &Event) -> Result<Vec<Part>, Failure> {
        if self.splits && !self.healed.load(Ordering::Acquire) {
            return Err(Failure::Poison("cannot be split".to_owned()));
        }
        // Behind the subject's part one of the same pet of tomorrow, so that a split event has two.
        let other = PetId(uuid::Uuid::from_u128(event.subject.as_u128() ^ 1));
        let pets = [PetId(event.subject), other].into_iter().take(if self.splits { 2 } else { 1 });
        Ok(pets.map(|pet| Part { pet, body: event.payload.clone() }).collect())
    }

    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        let payload = DataErased { pet_id: part.pet.to_string(), ..DataErased::default() };
        let erased = Outgoing::of_pet(&topics::DATA_ERASED, part.pet, event.version, SHARDS, &payload);
        outbox::write(tx, &self.clock, &erased).await?;
        if self.healed.load(Ordering::Acquire) { Ok(()) } else { Err(Failure::Poison("not yet".to_owned())) }
    }
}

struct World {
    bench: Bench,
    picky: Arc<Picky>,
    operations: Guarded<OperationsHandler>,
    staff: Badge,
}

impl World {
    async fn new(name: &str, splits: bool) -> Self {
        let mut bench = plan().consuming().lay(name).await;
        let picky = Arc::new(Picky { clock: bench.clock.clone(), healed: AtomicBool::new(false), splits });
        bench.employ(picky.clone());
        bench.consume();
        let operations = bench.gate().guard(bench.base.events.operations_handler());
        let staff = Badge::account(bench.account_id()).scope("staff").role("admin");
        Self { bench, picky, operations, staff }
    }

    fn asked<M>(&self, message: M) -> Request<M> {
        self.bench.request_of(&self.staff, message)
    }

    async fn list(&self, request: wire::ListDeadLettersRequest) -> wire::ListDeadLettersResponse {
        self.operations.list_dead_letters(self.asked(request)).await.unwrap().into_inner()
    }

    async fn letters(&self) -> Vec<wire::DeadLetter> {
        self.list(wire::ListDeadLettersRequest::default()).await.letters
    }

    /// Publishes and waits until there are so many dead letters.
    async fn buried(&self, events: &[Event]) -> Vec<wire::DeadLetter> {
        for event in events {
            self.bench.publish(event).await;
        }
        eventually("all are given up on", || async { self.letters().await.len() == events.len() }).await;
        self.letters().await
    }

    async fn redrive(&self, letter: &wire::DeadLetter) -> (Outcome, String) {
        let request = wire::RedriveDeadLetterRequest {
            event_id: letter.event_id.clone(),
            pet_id: letter.pet_id.clone(),
        };
        let answer = self.operations.redrive_dead_letter(self.asked(request)).await.unwrap().into_inner();
        (answer.outcome(), answer.error)
    }

    async fn drop(&self, letter: &wire::DeadLetter) -> bool {
        let request =
            wire::DropDeadLetterRequest { event_id: letter.event_id.clone(), pet_id: letter.pet_id.clone() };
        self.operations.drop_dead_letter(self.asked(request)).await.unwrap().into_inner().dropped
    }

    async fn applied(&self) -> Vec<String> {
        let mut pets: Vec<String> = self
            .bench
            .outbox::<DataErased>(&topics::DATA_ERASED)
            .await
            .into_iter()
            .map(|written| written.payload.pet_id)
            .collect();
        pets.sort();
        pets
    }

    async fn noted(&self) -> Vec<String> {
        let sql = "-- noted\nSELECT concat_ws(' ', action, outcome, topic, event_id) FROM event_operations ORDER BY id";
        self.bench.rows(sql).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_shown_without_names_and_redriven_once_by_however_many_at_once() {
    let world = World::new("redriven", false).await;
    let mut dog = a_dog(world.bench.pet_id(), 3);
    dog.name = "Bello of Long Street".to_owned();
    let event = world.bench.pet_changed(&dog);
    let [letter] = world.buried(std::slice::from_ref(&event)).await.try_into().unwrap();
    assert_eq!((letter.reason(), letter.error.as_str(), letter.redrives), (Reason::Poison, "not yet", 0));
    assert_eq!((letter.event_id.as_str(), &letter.pet_id), (event.id.to_string().as_str(), &dog.pet_id));
    let request =
        wire::GetDeadLetterRequest { event_id: letter.event_id.clone(), pet_id: letter.pet_id.clone() };
    let shown = world.operations.get_dead_letter(world.asked(request)).await.unwrap().into_inner();
    assert_eq!((shown.version, shown.unreadable.as_str()), (3, ""));
    let id = shown.fields.iter().find(|field| field.path == "pet.pet_id").unwrap();
    assert_eq!(id.values, [dog.pet_id.clone()]);
    assert!(!format!("{shown:?}").contains("Bello"), "{shown:?}");

    assert_eq!(world.redrive(&letter).await, (Outcome::Failed, "not yet".to_owned()));
    assert_eq!(world.letters().await[0].redrives, 1);
    assert!(world.applied().await.is_empty(), "what failed left nothing");
    world.picky.healed.store(true, Ordering::Release);
    let (one, other, third) =
        tokio::join!(world.redrive(&letter), world.redrive(&letter), world.redrive(&letter));
    let mut outcomes = [one.0, other.0, third.0];
    outcomes.sort();
    assert_eq!(outcomes, [Outcome::Applied, Outcome::NotThere, Outcome::NotThere]);
    assert_eq!(world.applied().await, [dog.pet_id.clone()]);
    assert!(world.letters().await.is_empty());
    let id = &letter.event_id;
    assert_eq!(
        world.noted().await,
        [format!("REDRIVE FAILED pet.changed {id}"), format!("REDRIVE APPLIED pet.changed {id}")]
    );
    // The stream brings it again: it is known.
    world.bench.publish(&event).await;
    let mut next = world.bench.pet_changed(&a_dog(world.bench.pet_id(), 1));
    next.number = 2;
    world.bench.publish(&next).await;
    eventually("what came behind it is applied", || async { world.applied().await.len() == 2 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_one_is_never_applied_and_pages_lead_through_all() {
    let world = World::new("dropped", false).await;
    let dogs: Vec<_> = (0..5).map(|_| a_dog(world.bench.pet_id(), 1)).collect();
    let events: Vec<Event> = dogs.iter().map(|dog| world.bench.pet_changed(dog)).collect();
    let letters = world.buried(&events).await;
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::ListDeadLettersRequest { page_size: 2, page_token, ..Default::default() };
        let page = world.list(request).await;
        seen.extend(page.letters);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, letters);
    let of = |topic: &str, pet_id: &str| wire::ListDeadLettersRequest {
        topic: topic.to_owned(),
        pet_id: pet_id.to_owned(),
        ..Default::default()
    };
    assert_eq!(world.list(of("pet.changed", &dogs[2].pet_id)).await.letters.len(), 1);
    assert!(world.list(of("pet.erasing", "")).await.letters.is_empty());
    let refused = world.operations.list_dead_letters(world.asked(of("nothing", "nobody"))).await.unwrap_err();
    assert_eq!(fields(&refused), ["topic", "pet_id"]);

    assert!(world.drop(&letters[0]).await);
    assert!(!world.drop(&letters[0]).await, "once");
    world.picky.healed.store(true, Ordering::Release);
    assert_eq!(world.redrive(&letters[0]).await.0, Outcome::NotThere);
    for letter in &letters[1..] {
        assert_eq!(world.redrive(letter).await.0, Outcome::Applied);
    }
    assert_eq!(world.applied().await.len(), 4);
    assert!(!world.applied().await.contains(&letters[0].pet_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_could_not_be_split_is_applied_part_by_part_once() {
    let world = World::new("unsplit", true).await;
    let dog = a_dog(world.bench.pet_id(), 1);
    let [letter] = world.buried(&[world.bench.pet_changed(&dog)]).await.try_into().unwrap();
    assert_eq!(letter.reason(), Reason::Unreadable);
    assert_eq!(world.redrive(&letter).await, (Outcome::Failed, "cannot be split".to_owned()));
    world.picky.healed.store(true, Ordering::Release);
    let (one, other) = tokio::join!(world.redrive(&letter), world.redrive(&letter));
    let mut outcomes = [one.0, other.0];
    outcomes.sort();
    assert_eq!(outcomes, [Outcome::Applied, Outcome::NotThere]);
    let applied = world.applied().await;
    assert_eq!(applied.len(), 2, "{applied:?}");
    assert!(applied.contains(&dog.pet_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_dated_ahead_is_applied_once_its_day_has_come_by_a_replay_or_by_a_redrive() {
    let world = World::new("ahead", false).await;
    let days = |days: i64| at(days * 86_400);
    let dogs: Vec<_> = (0..2).map(|_| a_dog(world.bench.pet_id(), 1)).collect();
    let dated = |dog| Event { time: days(3), ..world.bench.pet_changed(dog) };
    let events: Vec<Event> = dogs.iter().map(dated).collect();
    let letters = world.buried(&events).await;
    assert!(letters.iter().all(|letter| letter.reason() == Reason::Unreadable), "{letters:?}");
    world.picky.healed.store(true, Ordering::Release);
    world.bench.clock.set(days(2));
    let letter_of = |event: &Event| {
        let letter = letters.iter().find(|letter| letter.event_id == event.id.to_string());
        letter.unwrap()
    };
    let both = &mut [dogs[0].pet_id.clone(), dogs[1].pet_id.clone()];
    // The first comes again, and is then redriven; the second the other way round.
    world.bench.publish(&events[0]).await;
    eventually("it is applied", || async { world.applied().await == [both[0].clone()] }).await;
    assert_eq!(world.redrive(letter_of(&events[0])).await.0, Outcome::NotThere);
    assert_eq!(world.redrive(letter_of(&events[1])).await.0, Outcome::Applied);
    both.sort();
    assert_eq!(world.applied().await, both.as_slice());
    assert!(world.letters().await.is_empty(), "both are done with");
    world.bench.publish(&events[1]).await;
    let mut next = world.bench.pet_changed(&a_dog(world.bench.pet_id(), 1));
    next.number = 2;
    world.bench.publish(&next).await;
    eventually("what came behind them is applied", || async { world.applied().await.len() >= 3 }).await;
    assert_eq!(world.applied().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_stays_until_it_is_dropped_and_a_forgotten_pets_goes_with_it() {
    let world = World::new("gone", false).await;
    let mut command = redis::cmd("XADD");
    command.arg(topics::PET_CHANGED.stream(0)).arg("*").arg("e").arg(b"\xff\xffnonsense");
    let _id: String = command.query_async(&mut world.bench.base.redis.shared()).await.unwrap();
    eventually("the bytes are given up on", || async { world.letters().await.len() == 1 }).await;
    let [bytes] = world.letters().await.try_into().unwrap();
    assert_eq!(bytes.reason(), Reason::BadEnvelope);
    assert_eq!(world.redrive(&bytes).await.0, Outcome::Failed);
    assert!(world.drop(&bytes).await);

    let dog = a_dog(world.bench.pet_id(), 1);
    let [letter] = world.buried(&[world.bench.pet_changed(&dog)]).await.try_into().unwrap();
    let (pet, clock) = (dog.pet_id.parse().unwrap(), &world.bench.clock);
    let erase = |tx: Tx| async move { inbox::erase(&tx, clock, pet).await };
    world.bench.base.db.transaction::<_, Error, _, _>("erase", erase).await.unwrap();
    assert!(world.letters().await.is_empty(), "it goes with the pet");
    world.picky.healed.store(true, Ordering::Release);
    assert_eq!(world.redrive(&letter).await.0, Outcome::NotThere);
    assert!(world.applied().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_kept_for_fourteen_days_and_measured_meanwhile() {
    let world = World::new("kept", false).await;
    let [letter] =
        world.buried(&[world.bench.pet_changed(&a_dog(world.bench.pet_id(), 1))]).await.try_into().unwrap();
    let expires = jiff::Timestamp::try_from(letter.expire_time.unwrap()).unwrap();
    assert_eq!(expires, now() + jiff::SignedDuration::from_hours(14 * 24));
    let count = "-- kept\nSELECT count(*) FROM event_dead_letters";
    // Housekeeping is done by whoever starts.
    for (days, kept) in [(13, 1), (15, 0)] {
        let later = plan().starting(at(days * 86_400)).lay("kept").await;
        assert_eq!(later.count(count).await, kept, "{days} days later");
    }
    let measures = [
        "petty_dead_letters_total{",
        "petty_dead_letters_waiting{",
        "petty_dead_letters_oldest_seconds{",
        "petty_outbox_unsent{",
        "petty_outbox_oldest_unsent_seconds{",
    ];
    eventually("all are measured", || async {
        let text = prometheus_text();
        measures.iter().all(|name| text.contains(name))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_admin_of_the_platform_sees_any() {
    let world = World::new("staff", false).await;
    let account = world.bench.account_id();
    for (badge, code) in [
        (Badge::account(account), "SCOPE_MISSING"),
        (Badge::account(account).scope("staff").role("support"), "ROLE_MISSING"),
    ] {
        let request = world.bench.request_of(&badge, wire::ListDeadLettersRequest::default());
        let refused = world.operations.list_dead_letters(request).await.unwrap_err();
        assert_eq!(reason(&refused), code);
    }
    let request = world.asked(wire::GetDeadLetterRequest { event_id: "x".to_owned(), pet_id: String::new() });
    let refused = world.operations.get_dead_letter(request).await.unwrap_err();
    assert_eq!(fields(&refused), ["event_id", "pet_id"]);
}
