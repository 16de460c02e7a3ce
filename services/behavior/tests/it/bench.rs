//! A behavior service within the test's process: a database and a Redis of its own, a clock that stands, and pets, callers
//! and collars that exist because the test says so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use petty_behavior::domain::Species;
use petty_behavior::grpc::Grpc;
use petty_behavior::pets::{Pet, PetSource};
use petty_behavior::worker::Worker;
use petty_behavior::{Config, migrations};
use petty_chassis::access::Role;
use petty_chassis::access::{Access, AccessSource, Asker, Decision, Target};
use petty_chassis::caller::{Claims, KeySource, TOKEN_TYPE};
use petty_chassis::config::{BaseConfig, Environment, load};
use petty_chassis::events::{Event, Failure, Handler as _, Topic, shard_of, topics};
use petty_chassis::grpc::gate::{Gate, Guarded};
use petty_chassis::grpc::identity::generate_key;
use petty_chassis::postgres::Error;
use petty_chassis::types::{AccountId, Clock, EventId, PetId, SessionId};
use petty_chassis::{ApiError, Context, Foundation, Shutdown, Tasks};
use petty_proto::auth::v1 as auth;
use petty_proto::events::v1::{
    AcceptedReading, BehaviorChanged, Envelope, PetChanged, PetErasing, PetReadings, ReadingsAccepted,
};
use prost::Message;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::Request;

pub(crate) const SHARDS: i16 = 4;

/// What the clock says.
pub(crate) fn now() -> Timestamp {
    "2026-01-10T12:00:00Z".parse().unwrap()
}

/// Seconds after noon.
pub(crate) fn at(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub(crate) struct Bench {
    pub(crate) base: Foundation,
    pub(crate) clock: Clock,
    pub(crate) pets: Pets,
    pub(crate) worker: Arc<Worker>,
    pub(crate) grpc: Guarded<Grpc>,
    pub(crate) access: Table,
    user_key: SecretString,
    shutdown: Shutdown,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What a service with a database of this name reads.
pub(crate) async fn environment(name: &str, redis_database: u32) -> Environment {
    let stack = petty_provision::shared().await.unwrap();
    let database = stack.postgres().ensure_database(&format!("behavior_{name}")).await.unwrap();
    let (service_key, service_public) = generate_key().unwrap();
    [
        ("PETTY_GRPC_LISTEN", "127.0.0.1:0".to_owned()),
        ("PETTY_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("PETTY_SERVICE_KEY", service_key.expose_secret().to_owned()),
        ("PETTY_SERVICE_KEYS", format!(r#"{{"behavior": "{service_public}"}}"#)),
        ("PETTY_DATABASE_URL", database.runtime_url.expose_secret().to_owned()),
        ("PETTY_MIGRATION_URL", database.owner_url.expose_secret().to_owned()),
        ("PETTY_DATABASE_POOL", "8".to_owned()),
        (
            "PETTY_EVENTS_REDIS_URL",
            format!("{}/{redis_database}", stack.redis().url().expose_secret().strip_suffix("/0").unwrap()),
        ),
        ("PETTY_SHARDS", SHARDS.to_string()),
    ]
    .into_iter()
    .collect()
}

impl Bench {
    /// One with a database of this name, whose events are applied by hand.
    pub(crate) async fn new(name: &str) -> Self {
        Self::with_redis(name, 0).await
    }

    /// One that can consume: with a Redis database of its own, so that no test reads another's streams.
    pub(crate) async fn consuming(name: &str) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        // Redis has 16 of them.
        Self::with_redis(name, LAST.fetch_add(1, Ordering::Relaxed) + 1).await
    }

    async fn with_redis(name: &str, redis_database: u32) -> Self {
        let environment = environment(name, redis_database).await;
        let (base, config) = load::<(BaseConfig, Config)>(&environment).unwrap();
        let shutdown = Shutdown::new();
        let clock = Clock::manual(now());
        let tasks = Tasks::new(shutdown.clone());
        let context =
            Context { clock: clock.clone(), ..Context::new("behavior", base, shutdown.clone(), &tasks) };
        let base = Foundation::lay(&context, &config.foundation, migrations()).await.unwrap();
        let (user_key, user_public) = generate_key().unwrap();
        let access = Table::default();
        let gate = Gate::new(
            base.verifier(Box::new(OneKey(user_public))),
            Access::direct(Box::new(access.clone()), clock.clone()),
        );
        let pets = Pets::default();
        let worker = Arc::new(Worker::new(clock.clone(), SHARDS, Box::new(pets.clone())));
        let grpc = gate.guard(Arc::new(Grpc::new(base.db.clone(), clock.clone())));
        Self { base, clock, pets, worker, grpc, access, user_key, shutdown }
    }

    /// A pet that auth knows.
    pub(crate) fn pet(&self, species: Species) -> PetId {
        let pet = PetId::new(&self.clock);
        self.pets.say(pet, Some(species), 1);
        pet
    }

    /// Applies an event as the consumer would, but for the inbox.
    pub(crate) async fn apply(&self, event: &Event) -> Result<(), Failure> {
        for part in self.worker.split(event)? {
            let part = &part;
            self.base
                .db
                .transaction("apply", |tx| async move { self.worker.apply(&tx, event, part).await })
                .await?;
        }
        Ok(())
    }

    /// Applies a pet's readings.
    pub(crate) async fn take(&self, pet: PetId, readings: &[AcceptedReading]) {
        self.apply(&self.event(&topics::READINGS_ACCEPTED, pet, 0, &flush([(pet, readings.to_vec())])))
            .await
            .unwrap();
    }

    pub(crate) fn event(
        &self,
        topic: &'static Topic,
        pet: PetId,
        version: i64,
        payload: &impl Message,
    ) -> Event {
        Event {
            id: EventId::new(&self.clock),
            topic,
            subject: pet.0,
            version,
            time: now(),
            traceparent: String::new(),
            payload: payload.encode_to_vec().into(),
            source: topic.producers[0].to_owned(),
            shard: shard_of(pet, SHARDS),
            number: 1,
        }
    }

    pub(crate) fn erasing(&self, pet: PetId) -> Event {
        let payload = PetErasing { pet_id: pet.to_string(), account_id: String::new() };
        self.event(&topics::PET_ERASING, pet, 0, &payload)
    }

    pub(crate) fn pet_changed(&self, pet: PetId, species: Species, version: i64) -> Event {
        let payload = PetChanged {
            pet: Some(wire_pet(pet, species, version)),
            account_id: String::new(),
            deleted: false,
        };
        self.event(&topics::PET_CHANGED, pet, version, &payload)
    }

    /// Puts an event into its stream.
    pub(crate) async fn publish(&self, event: &Event) {
        let envelope = Envelope {
            event_id: event.id.to_string(),
            topic: event.topic.name.to_owned(),
            subject: event.subject.to_string(),
            version: event.version,
            time: Some(event.time.into()),
            schema_version: event.topic.schema_version,
            traceparent: String::new(),
            payload: event.payload.clone(),
            source: event.source.clone(),
            shard: event.shard.into(),
            number: event.number,
        };
        let mut command = redis::cmd("XADD");
        command.arg(event.topic.stream(event.shard)).arg("*").arg("e").arg(envelope.encode_to_vec());
        let _id: String = command.query_async(&mut self.base.redis.shared()).await.unwrap();
    }

    /// Begins to consume.
    pub(crate) fn consume(&self) {
        self.base.events.consume(self.worker.clone(), &self.base.mesh);
    }

    /// The rows of a query, each as the text Postgres makes of it.
    pub(crate) async fn rows(&self, sql: &'static str) -> Vec<String> {
        self.base
            .db
            .read("rows", |tx| async move {
                tx.query(sql, &[])
                    .await?
                    .iter()
                    .map(|row| Error::column(row, "rows", 0))
                    .collect::<Result<Vec<String>, Error>>()
            })
            .await
            .unwrap()
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        self.base
            .db
            .read(
                "count",
                |tx| async move { Error::column::<i64>(&tx.query_one(sql, &[]).await?, "count", 0) },
            )
            .await
            .unwrap()
    }

    /// What was told of behaviours, in the order it was written.
    pub(crate) async fn told(&self) -> Vec<(i64, BehaviorChanged)> {
        let sql =
            "-- told\nSELECT version, payload FROM event_outbox WHERE topic = 'behavior.changed' ORDER BY id";
        self.base
            .db
            .read("told", |tx| async move {
                let rows = tx.query(sql, &[]).await?;
                rows.iter()
                    .map(|row| Ok((Error::column(row, "o", 0)?, Error::column(row, "o", 1)?)))
                    .collect::<Result<Vec<_>, Error>>()
            })
            .await
            .unwrap()
            .into_iter()
            .map(|(version, bytes): (i64, Vec<u8>)| {
                (version, BehaviorChanged::decode(bytes.as_slice()).unwrap())
            })
            .collect()
    }

    /// A request of an account's.
    pub(crate) fn request<M>(&self, account: AccountId, message: M) -> Request<M> {
        let second = now().as_second();
        let claims = Claims {
            iss: "petty".to_owned(),
            aud: "petty".to_owned(),
            sub: account.to_string(),
            exp: second + 600,
            nbf: second,
            iat: second,
            jti: EventId::new(&self.clock).to_string(),
            scope: "pets:read".to_owned(),
            sid: SessionId::new(&self.clock),
            device: None,
        };
        let header = Header {
            typ: Some(TOKEN_TYPE.to_owned()),
            kid: Some("k".to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        let key = EncodingKey::from_ed_pem(self.user_key.expose_secret().as_bytes()).unwrap();
        let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }
}

/// One flush.
pub(crate) fn flush(pets: impl IntoIterator<Item = (PetId, Vec<AcceptedReading>)>) -> ReadingsAccepted {
    let of =
        |(pet, readings): (PetId, Vec<AcceptedReading>)| PetReadings { pet_id: pet.to_string(), readings };
    ReadingsAccepted { pets: pets.into_iter().map(of).collect() }
}

/// A reading at so many seconds after noon.
pub(crate) fn reading(seconds: i64, heart_rate: f64, level: i32) -> AcceptedReading {
    AcceptedReading {
        collar_id: "collar-1".to_owned(),
        time_us: at(seconds).as_microsecond(),
        heart_rate: Some(heart_rate),
        activity_level: Some(level),
        ..AcceptedReading::default()
    }
}

/// A minute apart, still and steady: Deep Sleep from the fourth on.
pub(crate) fn asleep(from_minute: i64, minutes: i64) -> Vec<AcceptedReading> {
    (from_minute..from_minute + minutes).map(|minute| reading(60 * minute, 55.0, 0)).collect()
}

fn wire_pet(pet: PetId, species: Species, version: i64) -> auth::Pet {
    let species = match species {
        Species::Dog => auth::pet::Species::Dog,
        Species::Cat => auth::pet::Species::Cat,
    };
    auth::Pet {
        pet_id: pet.to_string(),
        species: species.into(),
        time_zone: "Europe/Berlin".to_owned(),
        version: i32::try_from(version).unwrap(),
        ..auth::Pet::default()
    }
}

/// Species and version; `None`: the pet is gone.
type Said = Option<(Species, i64)>;

/// What auth would say of pets.
#[derive(Clone, Default)]
pub(crate) struct Pets {
    known: Arc<Mutex<BTreeMap<PetId, Said>>>,
}

impl Pets {
    /// `None`: the pet is gone.
    pub(crate) fn say(&self, pet: PetId, species: Option<Species>, version: i64) {
        self.known.lock().unwrap().insert(pet, species.map(|species| (species, version)));
    }
}

#[tonic::async_trait]
impl PetSource for Pets {
    async fn describe(&self, pet: PetId) -> Result<Option<(Pet, i64)>, ApiError> {
        let known = self.known.lock().unwrap();
        // Of whom nothing was said, auth cannot be asked.
        let said = known.get(&pet).ok_or_else(|| ApiError::unavailable("PET_UNKNOWN", "auth is away"))?;
        Ok(said.map(|(species, version)| (Pet { species, time_zone: "Europe/Berlin".to_owned() }, version)))
    }
}

/// Who may see which pet.
#[derive(Clone, Default)]
pub(crate) struct Table {
    owners: Arc<Mutex<BTreeMap<PetId, AccountId>>>,
}

impl Table {
    pub(crate) fn owner_of(&self, clock: &Clock, pet: PetId) -> AccountId {
        *self.owners.lock().unwrap().entry(pet).or_insert_with(|| AccountId::new(clock))
    }
}

#[tonic::async_trait]
impl AccessSource for Table {
    async fn check(&self, asker: &Asker<'_>, target: &Target) -> Result<Decision, ApiError> {
        let Target::Pet(pet) = target else { panic!("only pets are asked about here") };
        let owner = self.owners.lock().unwrap().get(pet).copied();
        let role = (owner == Some(asker.caller.account_id())).then_some(Role::Owner);
        Ok(Decision { role, pairings: Vec::new(), expires: None })
    }
}

struct OneKey(String);

#[tonic::async_trait]
impl KeySource for OneKey {
    async fn keys(&self) -> Result<auth::Jwks, ApiError> {
        let x = self.0.trim_end_matches('=').replace('+', "-").replace('/', "_");
        let text = str::to_owned;
        let (kty, kid, r#use, alg) = (text("OKP"), text("k"), text("sig"), text("EdDSA"));
        let key = auth::Jwk {
            kty,
            kid,
            r#use,
            alg,
            crv: Some(text("Ed25519")),
            x: Some(x),
            ..auth::Jwk::default()
        };
        Ok(auth::Jwks { keys: vec![key] })
    }
}

/// Waits until something holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
