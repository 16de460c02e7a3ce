//! One test's world: ingest on a bench, and people and collars that call it.

use std::ops::Deref;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::access::Role;
use petty_chassis::events::redis::Connector;
use petty_chassis::grpc::gate::Guarded;
use petty_chassis::types::{AccountId, PetId};
use petty_ingest::grpc::Grpc;
use petty_ingest::realtime::Realtime;
use petty_ingest::store::Store;
use petty_ingest::worker::Events;
use petty_ingest::{IngestConfig, MAX_MESSAGE_BYTES};
use petty_proto::events::v1::ReadingsAccepted;
use petty_proto::ingest::v1 as wire;
use petty_proto::ingest::v1::ingest_service_server::IngestService;
use petty_proto::ingest::v1::reading_service_server::ReadingService;
use petty_proto::ingest::v1::relay_service_client::RelayServiceClient;
use petty_proto::ingest::v1::relay_service_server::RelayServiceServer;
use petty_testbench::{Badge, Bench, Plan, fields, reason};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// Noon, so that there is a morning and an afternoon.
pub(crate) const NOON: &str = "2026-06-15T12:00:00Z";

pub(crate) struct World {
    bench: Bench,
    pub(crate) store: Store,
    guarded: Guarded<Grpc>,
}

impl Deref for World {
    type Target = Bench;

    fn deref(&self) -> &Bench {
        &self.bench
    }
}

/// Somebody who calls.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) account: AccountId,
    /// `None`: without a token.
    pub(crate) badge: Option<Badge>,
}

pub(crate) fn plan() -> Plan {
    Plan::new("ingest", petty_ingest::migrations()).starting(at(NOON))
}

impl World {
    pub(crate) async fn new(name: &str) -> Self {
        Self::starting(name, at(NOON)).await
    }

    /// Whose clock stands elsewhere.
    pub(crate) async fn starting(name: &str, start: Timestamp) -> Self {
        Self::on(plan().starting(start).lay(name).await, |_, store| store).await
    }

    /// Whose newest readings stand in a Redis that `connector` leads to.
    pub(crate) async fn served(name: &str, connector: impl Fn(&Bench) -> Connector) -> Self {
        let serve = |bench: &Bench, store: Store| {
            store.serving_from(Realtime::start(&bench.base.context, &connector(bench)))
        };
        Self::on(plan().consuming().lay(name).await, serve).await
    }

    /// With room for so many readings that wait for the disk.
    pub(crate) async fn with_room(name: &str, room: usize) -> Self {
        let plan = plan().with("PETTY_INGEST_QUEUE", room.to_string());
        Self::on(plan.lay(name).await, |_, store| store).await
    }

    async fn on(mut bench: Bench, with: impl Fn(&Bench, Store) -> Store) -> Self {
        let (context, config) = (&bench.base.context, bench.config::<IngestConfig>());
        let store = with(&bench, Store::new(context, &bench.base.db, bench.base.events.shards()));
        store.make_partitions(config.window).await.unwrap();
        let guarded = bench.guard(Grpc::new(context, &store, &config));
        bench.employ(Arc::new(Events::new(&store)));
        Self { bench, store, guarded }
    }

    pub(crate) fn person(&self) -> Person {
        self.person_with("read write")
    }

    pub(crate) fn person_with(&self, scope: &str) -> Person {
        let account = self.account_id();
        Person { account, badge: Some(Badge::account(account).scope(scope)) }
    }

    /// A collar that was paired by somebody.
    pub(crate) fn device(&self, collar: &str, pet: PetId, by: &Person) -> Person {
        Person { account: by.account, badge: Some(Badge::collar(collar, pet, by.account)) }
    }

    /// The collar was the pet's from `start` to `end`, and `person` is `role` to the pet.
    pub(crate) fn pair(
        &self,
        person: &Person,
        role: Role,
        collar: &str,
        pet: PetId,
        start: Timestamp,
        end: Option<Timestamp>,
    ) {
        self.access.share(pet, person.account, role);
        self.access.wear(&self.clock, collar, pet, start, end);
    }

    /// Somebody's collar, on a pet of theirs since ever.
    pub(crate) fn owned(&self, person: &Person, collar: &str) -> PetId {
        let pet = self.pet_id();
        self.pair(person, Role::Owner, collar, pet, at("2020-01-01T00:00:00Z"), None);
        pet
    }

    fn signed<M>(&self, person: &Person, message: M) -> Request<M> {
        match &person.badge {
            Some(badge) => self.request_of(badge, message),
            None => Request::new(message),
        }
    }

    pub(crate) async fn ingest(
        &self,
        person: &Person,
        reading: wire::Reading,
    ) -> Result<wire::IngestReadingResponse, Status> {
        let request = wire::IngestReadingRequest {
            collar_id: reading.collar_id,
            timestamp: reading.timestamp,
            heart_rate: reading.heart_rate,
            activity_level: reading.activity_level,
            location: reading.location,
            temperature: reading.temperature,
            skin_temperature: reading.skin_temperature,
            respiratory_rate: reading.respiratory_rate,
            battery_level: reading.battery_level,
            sequence_id: reading.sequence_id,
        };
        self.guarded.ingest_reading(self.signed(person, request)).await.map(Response::into_inner)
    }

    pub(crate) async fn ingest_batch(
        &self,
        person: &Person,
        readings: Vec<wire::Reading>,
    ) -> Result<wire::IngestReadingsResponse, Status> {
        let request = wire::IngestReadingsRequest { readings };
        self.guarded.ingest_readings(self.signed(person, request)).await.map(Response::into_inner)
    }

    /// A client of the service as it is served, with everything around it.
    pub(crate) fn relay(&self) -> RelayServiceClient<Channel> {
        let service = RelayServiceServer::new(self.guarded.clone());
        RelayServiceClient::new(self.bench.serve(service.max_decoding_message_size(MAX_MESSAGE_BYTES)))
    }

    /// A call that goes on, by somebody.
    pub(crate) fn going_on<S>(&self, person: &Person, messages: S) -> Request<S> {
        self.signed(person, messages)
    }

    pub(crate) async fn realtime(
        &self,
        person: &Person,
        collar: &str,
    ) -> Result<wire::GetRealtimeResponse, Status> {
        let request = wire::GetRealtimeRequest { collar_id: collar.to_owned() };
        self.guarded.get_realtime(self.signed(person, request)).await.map(Response::into_inner)
    }

    pub(crate) async fn list(
        &self,
        person: &Person,
        request: wire::ListReadingsRequest,
    ) -> Result<wire::ListReadingsResponse, Status> {
        self.guarded.list_readings(self.signed(person, request)).await.map(Response::into_inner)
    }

    /// Every reading in the table: collar, time, pet; by collar and time.
    pub(crate) async fn stored(&self) -> Vec<(String, i64, PetId)> {
        let sql = "-- stored\nSELECT c.collar_id, r.measured_at, r.pet_id FROM readings r JOIN collars c USING (collar_key)
                   ORDER BY 1, 2";
        let rows = self.query(sql, &[]).await;
        rows.iter()
            .map(|row| (row.get(0), row.get::<_, Timestamp>(1).as_microsecond(), PetId(row.get(2))))
            .collect()
    }

    /// Every reading in the outbox: collar, time, pet; by collar and time. Entries are checked for their form.
    pub(crate) async fn announced(&self) -> Vec<(String, i64, PetId)> {
        let mut all = Vec::new();
        for (shard, entry) in self.entries().await {
            assert!(!entry.pets.is_empty());
            assert!(
                entry.pets.is_sorted_by(|a, b| a.pet_id < b.pet_id),
                "pets are sorted and each is there once"
            );
            for pet in entry.pets {
                let pet_id: PetId = pet.pet_id.parse().unwrap();
                assert_eq!(petty_chassis::events::shard_of(pet_id, self.base.events.shards()), shard);
                assert!(!pet.readings.is_empty());
                assert!(pet.readings.is_sorted_by_key(|reading| reading.time_us));
                for reading in pet.readings {
                    let other = Some(reading.collar_id).filter(|other| !other.is_empty());
                    all.push((other.unwrap_or_else(|| pet.collar_id.clone()), reading.time_us, pet_id));
                }
            }
        }
        all.sort();
        all
    }

    /// The entries of `readings.accepted`, with their shards.
    pub(crate) async fn entries(&self) -> Vec<(i16, ReadingsAccepted)> {
        let written = self.outbox(&petty_chassis::events::topics::READINGS_ACCEPTED).await;
        written
            .into_iter()
            .map(|written| {
                assert!(written.subject.is_nil());
                assert_eq!(written.version, 0);
                (written.shard, written.payload)
            })
            .collect()
    }

    /// The collar's latest state: time and pet.
    pub(crate) async fn latest(&self, collar: &str) -> Option<(i64, PetId)> {
        let sql = "-- latest\nSELECT measured_at, pet_id FROM latest_states JOIN collars USING (collar_key)
                   WHERE collar_id = $1";
        let rows = self.query(sql, &[&collar]).await;
        rows.first().map(|row| (row.get::<_, Timestamp>(0).as_microsecond(), PetId(row.get(1))))
    }

    /// Sums all minutes and hours that were written into.
    pub(crate) async fn rolled_up(&self) {
        while self.store.roll_up().await.unwrap() {}
    }

    /// Forgets a pet, as a consumer would, and deletes what is left of it.
    pub(crate) async fn erase(&self, pet: PetId) {
        self.begin_erasing(pet).await;
        self.deleted().await;
    }

    /// Forgets a pet, as a consumer would.
    pub(crate) async fn begin_erasing(&self, pet: PetId) {
        let store = &self.store;
        self.base
            .db
            .transaction("test", |tx| async move { store.erase(&tx, pet, true).await })
            .await
            .unwrap();
    }

    /// Deletes what is left of pets that are forgotten.
    pub(crate) async fn deleted(&self) {
        while self.store.delete_erased().await.unwrap() {}
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// So many seconds before noon.
pub(crate) fn ago(seconds: i64) -> Timestamp {
    at(NOON) - SignedDuration::from_secs(seconds)
}

/// A heart rate, measured then.
pub(crate) fn reading(collar: &str, time: Timestamp) -> wire::Reading {
    wire::Reading {
        collar_id: collar.to_owned(),
        timestamp: Some(time.into()),
        heart_rate: Some(80.0),
        ..wire::Reading::default()
    }
}

pub(crate) fn place(longitude: f64, latitude: f64) -> Option<wire::Location> {
    Some(wire::Location {
        r#type: "Point".to_owned(),
        coordinates: vec![longitude, latitude],
        accuracy: Some(4.5),
    })
}

/// A refusal's code, reason, and fields at fault.
pub(crate) fn refusal(status: &Status) -> (tonic::Code, String, Vec<String>) {
    let named = if status.code() == tonic::Code::InvalidArgument { fields(status) } else { Vec::new() };
    (status.code(), reason(status), named)
}
