//! Behavior and timeline in this process, each with its own database, at a time of the test's choosing: what one writes to
//! its outbox is handed to the other.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use petty::client::Species;
use petty::simulate::pet::Pet;
use petty::simulate::reading::Reading;
use petty_behavior::days::Closer;
use petty_behavior::untold::Untold;
use petty_chassis::events::topics;
use petty_chassis::grpc::gate::Guarded;
use petty_chassis::types::PetId;
use petty_proto::auth::v1 as auth;
use petty_proto::events::v1::{AcceptedReading, BehaviorChanged, DayClosed, PetReadings, ReadingsAccepted};
use petty_proto::timeline::v1::timeline_service_server::TimelineService as _;
use petty_proto::timeline::v1::{GetDayRequest, ListTimelineRequest};
use petty_testbench::{Bench, Pets, Plan, a_cat, a_dog};
use petty_timeline::stream::Hub;
use petty_timeline::{StreamConfig, pets, retention};

use super::seen::{Episode, Seen};

/// The two services.
pub(crate) struct Services {
    behavior: Bench,
    closer: Closer,
    timeline: Bench,
    grpc: Guarded<petty_timeline::grpc::Grpc>,
    known: Pets,
}

impl Services {
    /// With databases of this name. Behavior may work for some days around `middle`; timeline asks and answers at `end`.
    pub(crate) async fn start(name: &str, middle: Timestamp, end: Timestamp) -> Self {
        let known = Pets::default();
        let plan = Plan::new("behavior", petty_behavior::migrations()).starting(middle);
        let mut behavior = plan.lay(name).await;
        let (clock, shards) = (behavior.clock.clone(), behavior.base.events.shards());
        let source = Box::new(known.clone());
        behavior.employ(Arc::new(petty_behavior::worker::Worker::new(clock.clone(), shards, source)));
        let days = petty_behavior::DayConfig::default();
        let closer = Closer::new(behavior.base.db.clone(), clock, days, shards);

        let plan = Plan::new("timeline", petty_timeline::migrations()).starting(end);
        let mut timeline = plan.lay(name).await;
        let config: StreamConfig = timeline.config();
        let (db, clock) = (timeline.base.db.clone(), timeline.clock.clone());
        retention::run(&db, &clock, config.retention).await.unwrap();
        let hub = Hub::start(&timeline.base, config);
        let shards = timeline.base.events.shards();
        timeline.employ(Arc::new(petty_timeline::worker::Worker::new(clock.clone(), shards, hub.clone())));
        let zones = pets::Pets::new(db.clone(), clock.clone(), Box::new(known.clone()));
        let grpc = timeline.guard(petty_timeline::grpc::Grpc::new(db, clock, hub, zones));
        Self { behavior, closer, timeline, grpc, known }
    }

    /// A simulated pet, as auth knows it.
    pub(crate) fn adopt(&self, pet: &Pet) -> PetId {
        let id = self.behavior.pet_id();
        let known = match pet.species {
            Species::Dog => a_dog(id, 1),
            Species::Cat => a_cat(id, 1),
        };
        self.known.say(auth::Pet { name: pet.name.clone(), time_zone: pet.zone.to_string(), ..known });
        id
    }

    /// It is this late at behavior: one flush of ingest's arrives, and days whose time has come are closed.
    pub(crate) async fn flush(&self, now: Timestamp, readings: &[(PetId, Vec<Reading>)]) {
        self.behavior.clock.set(now);
        let pets = readings.iter().map(|(pet, readings)| PetReadings {
            pet_id: pet.to_string(),
            readings: readings.iter().map(accepted).collect(),
            ..PetReadings::default()
        });
        let flush = ReadingsAccepted { pets: pets.collect() };
        let event = self.behavior.event(&topics::READINGS_ACCEPTED, readings[0].0, 0, &flush);
        self.behavior.apply(&event).await.unwrap();
        self.closer.close_due().await.unwrap();
    }

    /// Tells timeline of all episodes, in the order they were written, and as they stand at last.
    pub(crate) async fn tell_episodes(&self) {
        let (db, clock) = (self.behavior.base.db.clone(), self.behavior.clock.clone());
        Untold::new(db, clock, self.behavior.base.events.shards()).tell(SignedDuration::ZERO).await.unwrap();
        for told in self.behavior.outbox::<BehaviorChanged>(&topics::BEHAVIOR_CHANGED).await {
            let (topic, pet) = (&topics::BEHAVIOR_CHANGED, PetId(told.subject));
            self.timeline.apply(&self.timeline.event(topic, pet, told.version, &told.payload)).await.unwrap();
        }
    }

    /// Tells timeline of all days that were closed.
    pub(crate) async fn tell_days(&self) {
        for told in self.closed().await {
            let (topic, pet) = (&topics::BEHAVIOR_DAY_CLOSED, told.pet_id.parse().unwrap());
            let event = self.timeline.event(topic, pet, told.version.into(), &told);
            self.timeline.apply(&event).await.unwrap();
        }
    }

    /// The days that behavior closed.
    pub(crate) async fn closed(&self) -> Vec<DayClosed> {
        let written = self.behavior.outbox::<DayClosed>(&topics::BEHAVIOR_DAY_CLOSED).await;
        written.into_iter().map(|written| written.payload).collect()
    }

    /// A day, and its episodes, oldest first, as its owner is answered.
    pub(crate) async fn day(&self, pet: PetId, date: Date) -> (Seen, Vec<Episode>) {
        let owner = self.timeline.owner_of(pet);
        let request = GetDayRequest { pet_id: pet.to_string(), date: date.to_string() };
        let day = self.grpc.get_day(self.timeline.request(owner, request)).await.unwrap().into_inner();
        let mut request = ListTimelineRequest {
            pet_id: pet.to_string(),
            start_time: day.start_time,
            end_time: day.end_time,
            page_size: 1_000,
            ..ListTimelineRequest::default()
        };
        let mut episodes = Vec::new();
        loop {
            let asked = self.timeline.request(owner, request.clone());
            let listed = self.grpc.list_timeline(asked).await.unwrap().into_inner();
            episodes.extend(listed.entries.into_iter().map(Episode::of_wire));
            request.page_token = listed.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        episodes.reverse();
        (Seen::of_wire(day), episodes)
    }
}

/// A reading, as ingest tells of it.
fn accepted(reading: &Reading) -> AcceptedReading {
    AcceptedReading {
        collar_id: reading.collar_id.clone(),
        time_us: reading.timestamp.as_microsecond(),
        heart_rate: reading.heart_rate,
        activity_level: reading.activity_level.map(i32::from),
        longitude: reading.location.map(|fix| fix.longitude),
        latitude: reading.location.map(|fix| fix.latitude),
        accuracy_m: reading.location.map(|fix| fix.accuracy),
        respiratory_rate: reading.respiratory_rate,
        temperature: reading.temperature,
        battery_level: Some(reading.battery_level),
    }
}
