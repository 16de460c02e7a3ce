//! A timeline service within the test's process: a database and a Redis of its own, a clock that stands, and callers,
//! pets and collars that exist because the test says so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use petty_chassis::access::Role;
use petty_chassis::access::{Access, AccessSource, Asker, Decision, Pairing, Target};
use petty_chassis::caller::{Claims, KeySource, TOKEN_TYPE};
use petty_chassis::config::{BaseConfig, Environment, load};
use petty_chassis::events::{Event, Failure, Handler as _, Topic, shard_of, topics};
use petty_chassis::grpc::gate::{Gate, Guarded};
use petty_chassis::grpc::identity::generate_key;
use petty_chassis::postgres::Error;
use petty_chassis::types::{AccountId, Clock, EventId, PairingId, PetId, SessionId};
use petty_chassis::{ApiError, Context, Foundation, Shutdown, Tasks};
use petty_proto::auth::v1 as auth;
use petty_proto::behavior::v1 as behavior;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::{BehaviorChanged, Envelope, PetErasing};
use petty_timeline::grpc::Grpc;
use petty_timeline::worker::Worker;
use petty_timeline::{Config, migrations};
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
    let database = stack.postgres().ensure_database(&format!("timeline_{name}")).await.unwrap();
    let (service_key, service_public) = generate_key().unwrap();
    [
        ("PETTY_GRPC_LISTEN", "127.0.0.1:0".to_owned()),
        ("PETTY_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("PETTY_SERVICE_KEY", service_key.expose_secret().to_owned()),
        ("PETTY_SERVICE_KEYS", format!(r#"{{"timeline": "{service_public}"}}"#)),
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
            Context { clock: clock.clone(), ..Context::new("timeline", base, shutdown.clone(), &tasks) };
        let base = Foundation::lay(&context, &config.foundation, migrations()).await.unwrap();
        let (user_key, user_public) = generate_key().unwrap();
        let access = Table::default();
        let gate = Gate::new(
            base.verifier(Box::new(OneKey(user_public))),
            Access::direct(Box::new(access.clone()), clock.clone()),
        );
        let worker = Arc::new(Worker::new(clock.clone(), SHARDS));
        let grpc = gate.guard(Arc::new(Grpc::new(base.db.clone(), clock.clone())));
        Self { base, clock, worker, grpc, access, user_key, shutdown }
    }

    /// A pet.
    pub(crate) fn pet(&self) -> PetId {
        PetId::new(&self.clock)
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

    /// Applies what became of an episode.
    pub(crate) async fn tell(&self, told: &Told) {
        self.apply(&self.told(told)).await.unwrap();
    }

    pub(crate) fn told(&self, told: &Told) -> Event {
        self.event(&topics::BEHAVIOR_CHANGED, told.pet, told.version, &told.payload())
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

/// What the behavior service tells of an episode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) pet: PetId,
    /// Makes the id.
    pub(crate) nth: u128,
    pub(crate) version: i64,
    pub(crate) behavior: Behavior,
    /// Seconds after noon.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) open: bool,
    pub(crate) superseded: bool,
}

impl Told {
    /// Closed, at version 1.
    pub(crate) fn new(pet: PetId, nth: u128, behavior: Behavior, from: i64, to: i64) -> Self {
        Self { pet, nth, version: 1, behavior, from, to, open: false, superseded: false }
    }

    pub(crate) fn id(&self) -> String {
        format!("evt_{:032x}", self.nth)
    }

    pub(crate) fn payload(&self) -> BehaviorChanged {
        let evidence = behavior::Evidence {
            rule: "a_rule".to_owned(),
            rule_version: "spine/1".to_owned(),
            readings: 4,
            mean_heart_rate: Some(55.25),
            ..behavior::Evidence::default()
        };
        let episode = behavior::Episode {
            episode_id: self.id(),
            pet_id: self.pet.to_string(),
            behavior: self.behavior.into(),
            start_time: Some(at(self.from).into()),
            end_time: Some(at(self.to).into()),
            open: self.open,
            confidence: 0.75,
            evidence: Some(evidence),
            version: i32::try_from(self.version).unwrap(),
        };
        BehaviorChanged { episode: Some(episode), superseded: self.superseded, replaced_by: Vec::new() }
    }
}

/// Who may see what.
#[derive(Clone, Default)]
pub(crate) struct Table {
    owners: Arc<Mutex<BTreeMap<PetId, AccountId>>>,
    worn: Arc<Mutex<Vec<(String, Pairing)>>>,
}

impl Table {
    pub(crate) fn owner_of(&self, clock: &Clock, pet: PetId) -> AccountId {
        *self.owners.lock().unwrap().entry(pet).or_insert_with(|| AccountId::new(clock))
    }

    pub(crate) fn give(&self, pet: PetId, account: AccountId) {
        self.owners.lock().unwrap().insert(pet, account);
    }

    /// A collar was worn by a pet, by seconds after noon.
    pub(crate) fn wear(&self, clock: &Clock, collar: &str, pet: PetId, from: i64, to: Option<i64>) {
        let pairing_id = PairingId::new(clock);
        let pairing =
            Pairing { pairing_id, pet_id: pet, start: at(from), end: to.map(at), role: Role::Owner };
        self.worn.lock().unwrap().push((collar.to_owned(), pairing));
    }
}

#[tonic::async_trait]
impl AccessSource for Table {
    async fn check(&self, asker: &Asker<'_>, target: &Target) -> Result<Decision, ApiError> {
        let owners = self.owners.lock().unwrap();
        let owns = |pet| owners.get(&pet) == Some(&asker.caller.account_id());
        Ok(match target {
            Target::Session => panic!("only pets and collars are asked about here"),
            Target::Pet(pet) => {
                Decision { role: owns(*pet).then_some(Role::Owner), pairings: Vec::new(), expires: None }
            }
            Target::Collar(asked) => {
                let worn = self.worn.lock().unwrap();
                let of_it =
                    worn.iter().filter(|(collar, pairing)| collar == asked.as_str() && owns(pairing.pet_id));
                Decision { role: None, pairings: of_it.map(|(_, pairing)| *pairing).collect(), expires: None }
            }
        })
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
